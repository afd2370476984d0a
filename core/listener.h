// SPDX-License-Identifier: MIT
#pragma once
// Internal: accepts the connections of a listening socket.

#include <memory>
#include <string>

#include "cleave/core/bound_socket.h"
#include "cleave/core/loop.h"
#include "cleave/core/service.h"
#include "cleave/core/stream.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Accepts by itself instead of through libuv: libuv 1.44 spins for ever when descriptors run out
// (measured: 4.9 million callbacks in one second, no timer ran), and accepts and closes whole
// backlogs without telling. Here a descriptor is kept spare: with it those who wait are taken one
// by one, told that there is no room, and closed. Where even that does not work (or memory has run
// out), nothing is taken from the backlog for 100 ms, and once a pause the owner is told.
class Listener {
 public:
  class Events {
   public:
    virtual void on_accept(std::unique_ptr<Stream> stream, const Service& service) = 0;
    // There is no descriptor for this connection; the error is for its peer.
    virtual void on_no_room(std::unique_ptr<Stream> stream, const Service& service,
                            const Error& error) = 0;
    virtual void on_accept_error(const Error& error) = 0;

   protected:
    ~Events() = default;
  };

  // `events` must outlive the listener, which may be destroyed from inside its calls.
  [[nodiscard]] static Result<std::unique_ptr<Listener>> create(Loop& loop, BoundSocket socket,
                                                                const Service& service,
                                                                Events& events);
  ~Listener();

  // With the port that was bound.
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return socket_.endpoint(); }

 private:
  Listener(Loop& loop, BoundSocket socket, const Service& service, Events& events);
  void accept_some();
  [[nodiscard]] bool refuse_one();
  void take(Fd socket, const Error* no_room);

  Loop& loop_;
  BoundSocket socket_;
  Fd spare_;
  const Service service_;
  Events& events_;
  std::unique_ptr<Watcher> watcher_;
  Timer retry_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace v0
}  // namespace cleave
