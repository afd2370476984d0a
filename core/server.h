// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/admission.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/interceptor.h"
#include "cleave/core/limits.h"
#include "cleave/core/loop.h"
#include "cleave/core/observer.h"
#include "cleave/core/router.h"
#include "cleave/core/stream.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct ServerOptions {
  Limits limits = {};
  // Sees everything; must outlive the server. Null: nobody looks.
  Observer* observer = nullptr;
  // Is asked before listeners are bound and peers are taken in; must outlive the server. Null:
  // everything is admitted.
  Admission* admission = nullptr;
  // Are asked before each handler, in this order, and told how its request ended, in the opposite
  // one; none is null. Must outlive the server, and any call of theirs or of a handler's in which
  // it is ended.
  std::vector<Interceptor*> interceptors = {};
};

// Accepts connections and runs handlers for their requests.
//
//     auto loop = Loop::create().value();
//     Router router;
//     router.add("greet", {.summary = "says hello"}, collected(...));
//     Server server(*loop, router);
//     auto url = server.listen("tcp://127.0.0.1:8080");
//     if (url) loop->run();
//
// `loop` and `router` must outlive it. Destroying it closes everything at once, and is allowed from
// inside a handler.
class CLEAVE_API Server {
 public:
  Server(Loop& loop, const Router& router, ServerOptions options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens from now on. Returns the URL with the port that was bound (0 picks one). A local
  // socket's file is removed when the listener closes.
  // `invalid_argument` where the endpoint cannot be served: a bare wire without a `cmd`, or with
  // one that takes no bare messages; `unavailable` while the server drains.
  [[nodiscard]] Result<std::string> listen(std::string_view url);
  [[nodiscard]] Result<std::string> listen(const Endpoint& endpoint);
  // What listen() would refuse without trying: an endpoint that this server has nothing for.
  [[nodiscard]] Result<void> check(const Endpoint& endpoint) const;
  // As listen(), on a socket that was made elsewhere: one that listens for TCP or at a path, or is
  // bound for UDP. Where it is is found by asking it. `how` is an `fd:` endpoint: its name is for
  // the error's sentence, and its wire, command and options count. Takes the descriptor, which goes
  // with the listener; a socket's file stays. `invalid_argument` for what cannot be served.
  [[nodiscard]] Result<std::string> adopt(Fd socket, const Endpoint& how);
  // Stops listening at a URL, as listen() or adopt() has returned it and not as it was given;
  // connections that came by it go on. `not_found` where nothing listens at it.
  [[nodiscard]] Result<void> unlisten(std::string_view url);
  // The URLs at which it listens, with all that listen() adds to them: those of streams, then those
  // of datagrams, each in the order in which they were added.
  [[nodiscard]] std::vector<std::string> listening() const;
  // Serves a stream that came from elsewhere: in frames, or as a listener on an endpoint with this
  // wire and command would (whose errors this has, too).
  void serve(std::unique_ptr<Stream> stream);
  [[nodiscard]] Result<void> serve(std::unique_ptr<Stream> stream, const Endpoint& endpoint);

  // Stops in order: closes the listeners, refuses new requests with `unavailable`, lets the running
  // ones finish, then closes each connection. After `limits.drain_timeout_ms` what still runs is
  // cancelled (reason draining), and after `cancel_grace_ms` more the rest is closed. `done(clean)`
  // comes when nothing is left, later and not from inside; clean is false if anything had to be
  // cancelled. It does not come if the server is destroyed first. A drain that is under way, or
  // over, is not begun again and keeps its time; this `done` comes beside the first one.
  void drain(UniqueFunction<void(bool clean)> done);
  // The same with a time of its own in place of the limit.
  void drain(Millis timeout, UniqueFunction<void(bool clean)> done);

  [[nodiscard]] std::size_t connections() const noexcept;
  // The bytes that are held for all peers now; see Limits::memory_bytes.
  [[nodiscard]] std::uint64_t memory() const noexcept;
  [[nodiscard]] const Limits& limits() const noexcept;
  // At any time. Connections that there are already go by the new limits too, but what has begun
  // goes on by the old ones: a request with its deadline, a body with the size that was agreed to,
  // a connection above a lower `max_connections`.
  void set_limits(const Limits& limits);

 private:
  Ref<class ServerCore> core_;
};

}  // namespace v0
}  // namespace cleave
