// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/buffer.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"
#include "cleave/core/reply.h"
#include "cleave/core/stream.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct ClientOptions {
  HeaderLimits header = {};
  // From the first packet to the connection; a machine that is not there says nothing for minutes.
  Millis connect_timeout = Millis(10'000);
  // As a server's limits of the same names.
  std::uint64_t window_bytes = 2 * 1024 * 1024;
  std::uint64_t output_bytes = 1024 * 1024;
  std::uint64_t frame_bytes = 1024 * 1024;
  // The longest reply body that call() gathers; use start() for longer ones.
  std::uint64_t collected_reply_bytes = 64 * 1024 * 1024;
};

// A request to be sent.
struct Call {
  std::string cmd;
  Members members = {};
  Body body = {};
  // At least 1 ms. Sent as `timeout_ms`: the server keeps it, and a Client waits for its word. A
  // ReconnectingClient keeps it as well, for all attempts together.
  std::optional<Millis> timeout = {};
  // Done twice it does no harm, so that a ReconnectingClient may send it again. To say so is the
  // caller's alone: what a command does is not for a client to know.
  bool idempotent = false;
  // Makes the body anew each time it is sent, in place of `body`: for a Source, which can be pulled
  // only once, in a call that may be sent again.
  UniqueFunction<Body()> make_body = {};
};

// A gathered reply.
struct Answer {
  Ref<const Header> header;  // of the last frame, where the results are
  std::string body;
};

// Sees a reply as it comes. Calls come in this order: for every frame on_frame, then its on_body
// any number of times; at last on_end, exactly once, also when the connection breaks. The object
// is destroyed after on_end.
class ReplyHandler {
 public:
  virtual ~ReplyHandler() = default;
  // A frame begins; its header may carry members, for example exec's `stream`.
  virtual void on_frame(const Header& /*header*/) {}
  // To slow the server down, keep the chunk and hold it until it is done with.
  virtual void on_body(Chunk chunk) = 0;
  // A ReconnectingClient would ask again, after on_frame has come. True: what has come is
  // forgotten, and the reply begins anew; false: it cannot be taken back, and the call ends with
  // the error.
  virtual bool on_restart() { return false; }
  // The reply is complete: `header` is that of its last frame. An error is the server's own, or
  // `unavailable` when the connection broke first. `header` is null where none came.
  virtual void on_end(Result<void> outcome, const Header* header) = 0;
};

// A request that is under way. Destroying it does not end the request.
class CLEAVE_API CallHandle {
 public:
  CallHandle() noexcept;
  CallHandle(const CallHandle&) noexcept;
  CallHandle(CallHandle&&) noexcept;
  CallHandle& operator=(CallHandle) noexcept;
  ~CallHandle();
  // Asks the server to end it; its reply comes all the same, usually with `cancelled`. A request
  // whose body is still being sent ends that first. Nothing happens once the reply is complete.
  void cancel();
  [[nodiscard]] bool running() const noexcept;

 private:
  friend class Client;
  friend class ReconnectingClient;
  CallHandle(Ref<class CallRunner> runner, std::uint64_t id) noexcept;

  Ref<class CallRunner> runner_;
  std::uint64_t id_ = 0;
};

// A connection to a server, for any number of requests at once (each gets an `id`). Used and
// destroyed on the loop's thread. Destroying it closes the connection; calls that run end with
// `unavailable`, from inside.
class CLEAVE_API Client {
 public:
  using Connected = UniqueFunction<void(Result<std::unique_ptr<Client>>)>;
  // Connects to a `tcp://` or `unix:` URL with the wire frame; `done` is called later, not from
  // inside connect().
  static void connect(Loop& loop, std::string_view url, const ClientOptions& options,
                      Connected done);
  // Over a stream that came from elsewhere, ready to be used.
  Client(Loop& loop, std::unique_ptr<Stream> stream, const ClientOptions& options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Sends a request and gathers its reply.
  CallHandle call(Call call, UniqueFunction<void(Result<Answer>)> done);
  // Sends a request and passes its reply on as it comes.
  CallHandle start(Call call, std::unique_ptr<ReplyHandler> handler);
  // Sends a request without an `id` that is never answered (a one-way put); its body must have a
  // known size. `done` is called when all of it was handed to the system.
  void start_one_way(Call call, UniqueFunction<void(Result<void>)> done);

  // Called once when the connection ends, however that comes about.
  void on_close(UniqueFunction<void(Error)> callback);
  [[nodiscard]] bool connected() const noexcept;
  // The connection has ended otherwise than by the server's orderly end: by a reset, a failed
  // write, an error that the server said, or in the middle of a reply. It may not have read
  // everything that the system had taken.
  [[nodiscard]] bool broken() const noexcept;
  // Closes the write side: the server answers what it has got, and closes.
  void finish();
  // Ends the connection with a reset: the server cancels whatever runs for it.
  void reset();

 private:
  Ref<class ClientCore> core_;
};

}  // namespace v0
}  // namespace cleave
