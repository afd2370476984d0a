// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/client.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Asks a server by datagrams, one request at a time: a request is one datagram and so is its reply.
// Both may get lost, and a server may start after its client; so a request is sent again after
// 250 ms, 500 ms, 1 s and so on until a reply comes or the time is up. It may therefore be carried
// out more than once, as fits the commands that servers offer by datagram.
//
// Each request has a socket and an `id` of its own, so that a late reply to an earlier one is not
// taken for its own. (On the wire raw, the socket alone tells them apart.)
//
// Used and destroyed on the loop's thread. Destroyed, a request under way ends with `unavailable`.
class CLEAVE_API DatagramClient {
 public:
  // For a `udp://` URL, with the wire frame or raw. Nothing is sent yet.
  [[nodiscard]] static Result<std::unique_ptr<DatagramClient>> create(
      Loop& loop, std::string_view url, const HeaderLimits& limits = {});
  ~DatagramClient();
  DatagramClient(const DatagramClient&) = delete;
  DatagramClient& operator=(const DatagramClient&) = delete;

  // Sends a request; `done` is called later, once. The body is a Buffer or none; on the wire raw it
  // is all that is sent, and the answer has no header. Beside the server's own the errors are
  //   `deadline_exceeded`    no reply came within `call.timeout`
  //   `unavailable`          none came within 10 s, where no timeout is given; or no socket
  //   `too_large`            the request does not fit a datagram: 65,507 bytes
  //   `invalid_argument`     the body is a file or a source
  //   `failed_precondition`  the last request is still under way
  void ask(Call call, UniqueFunction<void(Result<Answer>)> done);
  // Ends the request under way with `cancelled`. Its server is not told.
  void cancel();

 private:
  struct Asking;
  DatagramClient(Loop& loop, Endpoint endpoint, const HeaderLimits& limits);
  [[nodiscard]] Result<std::unique_ptr<Asking>> prepare(Call call);
  [[nodiscard]] Result<std::string> datagram_of(Call call, std::uint64_t id);
  void send();
  void on_readable();
  [[nodiscard]] std::optional<Answer> reply_in(std::string_view datagram);
  void end(Result<Answer> answer);

  Loop& loop_;
  Endpoint endpoint_;
  HeaderParser parser_;
  std::uint64_t next_id_ = 1;
  std::unique_ptr<Asking> asking_;
};

}  // namespace v0
}  // namespace cleave
