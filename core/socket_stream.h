// SPDX-License-Identifier: MIT
#pragma once
// Internal: a TCP or Unix connection as a Stream.

#include <netinet/in.h>

#include <memory>
#include <optional>

#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/socket_address.h"
#include "cleave/core/stream.h"
#include "cleave/core/unique_function.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Reads, writes and sends files itself and uses the loop for readiness only. libuv's streams would
// send one queued request a turn (1.44), keep each request's memory past the connection's end, not
// share their descriptor with sendfile(2), and not see a reset while reading is paused.
//
// The end of a local socket's peer can be told from a mere end of its input, other than with TCP:
// it is told as gone, as a reset is, but not before all that it sent was read. A local socket
// cannot be reset: its peer sees an end of input instead.
class SocketStream final : public Stream {
 public:
  // Over a connected, non-blocking socket.
  [[nodiscard]] static Result<std::unique_ptr<Stream>> adopt(Loop& loop, Fd socket,
                                                             const SocketOptions& options = {});
  // Over one that was just accepted, from a listener with such options.
  [[nodiscard]] static Result<std::unique_ptr<Stream>> accepted(Loop& loop, Fd socket,
                                                                const SocketOptions& options);
  // Of a connection, or of a listener for those that are accepted from it: on Linux they have them
  // from it.
  static void set_tcp_options(int fd, const SocketOptions& options);
  ~SocketStream() override;

  void set_events(Events* events) override { events_ = events; }
  void watch(Interest interest) override;
  [[nodiscard]] Moved read(std::span<char> into) override;
  [[nodiscard]] bool at_end() override;
  [[nodiscard]] Moved write(std::span<const std::string_view> pieces) override;
  [[nodiscard]] Moved send_file(int fd, std::uint64_t offset, std::size_t length) override;
  [[nodiscard]] bool file_is_cached(int fd, std::uint64_t offset, std::size_t length) override;
  void shutdown_write() override;
  void reset_on_close() override;
  void give_up_after(Millis silence) override;
  [[nodiscard]] Peer peer() const override;

 private:
  explicit SocketStream(Fd socket) noexcept;
  [[nodiscard]] static Result<std::unique_ptr<Stream>> watched(
      Loop& loop, std::unique_ptr<SocketStream> stream);
  void on_watched(Watcher::Events events);
  void on_error();
  void tell_hangup();

  Fd socket_;  // declared first: the watcher must go before it
  std::optional<Watcher> watcher_;
  Events* events_ = nullptr;
  // As it was at first: a connection that was reset does not know it any more.
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } remote_{};
  Interest interest_;
  bool local_;
  bool input_ended_ = false;  // and all before the end was read
};

// Connects to a tcp or unix endpoint without blocking; `done` is called later, once, unless the
// connector is destroyed first.
class SocketConnector {
 public:
  using Done = UniqueFunction<void(Result<std::unique_ptr<Stream>>)>;
  [[nodiscard]] static std::unique_ptr<SocketConnector> start(Loop& loop, const Endpoint& endpoint,
                                                              Millis timeout, Done done);

 private:
  SocketConnector(Loop& loop, const Endpoint& endpoint, Done done);
  Result<void> open();
  void attempt();
  void answered(int number);
  void finish(Result<std::unique_ptr<Stream>> result);

  Loop& loop_;
  const Endpoint endpoint_;
  Done done_;
  SocketAddress address_;
  Fd socket_;
  std::unique_ptr<Watcher> watcher_;
  Timer attempt_;  // the first one, and every further one
  Timer timeout_;
};

}  // namespace v0
}  // namespace cleave
