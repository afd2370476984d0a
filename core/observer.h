// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cleave/core/reply.h"
#include "cleave/core/request.h"
#include "cleave/protocol/error.h"

namespace cleave {
inline namespace v0 {

// Sees what a server does. Logs and metrics are made from it alone. Calls come on the loop's
// thread, must not throw and should be quick; views are valid during the call.
class Observer {
 public:
  // How a connection ended.
  enum class CloseReason : std::uint8_t {
    finished,        // the peer had said all, and all was answered
    truncated,       // the peer's end of input came inside a frame
    reset,           // the peer reset the connection, or a write failed
    protocol_error,  // the stream could not be trusted any more
    timed_out,       // a time limit: the message says which
    drained,         // the server stops
    overloaded,      // the server had to have its memory back
    broken_reply,    // a reply could not be completed, or its wire has no way to say it
  };
  // Why a datagram was not answered.
  enum class DropReason : std::uint8_t {
    malformed,    // it is no frame, or not exactly one
    not_request,  // it has no `cmd`, is a reply, or comes from nobody who could be answered
    truncated,    // it is longer than a datagram may be
    too_large,    // its answer would be more than three times its size
    unsendable,   // the system did not take the answer
  };
  struct Served {
    std::string_view cmd;
    const Peer& peer;
    std::optional<std::uint64_t> id;
    std::optional<Errc> code;  // empty: ok
    std::string_view message;  // of an error
    std::uint64_t body_in;     // bytes of body that came
    std::uint64_t body_out;    // bytes of body that were queued in reply
    Millis duration;           // from the header to the end of the reply
    bool one_way;
  };

  virtual ~Observer() = default;
  // A listener takes connections or datagrams from now on, and does so no more.
  virtual void on_listening(std::string_view /*url*/) {}
  virtual void on_unlistening(std::string_view /*url*/) {}
  virtual void on_accept(const Peer& /*peer*/) {}
  // A connection that was not taken in, or a listener that cannot take any just now, and why.
  virtual void on_shed(const Error& /*error*/) {}
  // A datagram that was dropped. Its requests and answers are seen as those of connections are.
  virtual void on_datagram_dropped(const Peer& /*peer*/, DropReason /*reason*/) {}
  // The server has closed its listeners and all its connections: the last call.
  virtual void on_server_closed() {}
  // A request begins to be handled.
  virtual void on_request(const Peer& /*peer*/, std::string_view /*cmd*/) {}
  // A request has ended: answered, failed, or given up because its peer had gone (`cancelled`).
  virtual void on_served(const Served& /*served*/) {}
  // A request was refused before a handler saw it; on_served is not called for it.
  virtual void on_refused(const Peer& /*peer*/, std::string_view /*cmd*/, const Error& /*error*/) {}
  virtual void on_cancel(const Peer& /*peer*/, std::string_view /*cmd*/, CancelReason /*reason*/) {}
  // A limit, named as in Limits, has refused or ended something: a connection, a request, a
  // datagram, a stream. Comes beside the call that tells what became of it. Static storage.
  virtual void on_limit(std::string_view /*limit*/) {}
  // The bytes that the server holds for its peers now (see Limits::memory_bytes), and the most
  // since the last call; told about four times a second, as long as there are connections.
  virtual void on_memory(std::uint64_t /*bytes*/, std::uint64_t /*most*/) {}
  // The stream of a connection cannot be trusted; it is about to end.
  virtual void on_protocol_error(const Peer& /*peer*/, const Error& /*error*/) {}
  virtual void on_close(const Peer& /*peer*/, CloseReason /*reason*/, std::string_view /*detail*/,
                        std::uint64_t /*bytes_in*/, std::uint64_t /*bytes_out*/) {}
  // Reading from a connection stops because its window or its output is full, and goes on again.
  virtual void on_pause(const Peer& /*peer*/) {}
  virtual void on_resume(const Peer& /*peer*/) {}
};

// The name of a reason: "finished", "truncated" …
[[nodiscard]] CLEAVE_API std::string_view to_string(Observer::CloseReason reason) noexcept;
[[nodiscard]] CLEAVE_API std::string_view to_string(Observer::DropReason reason) noexcept;
[[nodiscard]] CLEAVE_API std::string_view to_string(CancelReason reason) noexcept;

}  // namespace v0
}  // namespace cleave
