// SPDX-License-Identifier: MIT
#include "cleave/core/listener.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "cleave/core/accept.h"
#include "cleave/core/socket_stream.h"

namespace cleave {
inline namespace v0 {
namespace {

// Taken from the backlog in one turn, so that a flood of connections does not starve the others.
constexpr int kAcceptBudget = 64;
constexpr Millis kRetry(100);

}  // namespace

Listener::Listener(Loop& loop, BoundSocket socket, const Service& service, Events& events)
    : loop_(loop),
      socket_(std::move(socket)),
      service_(service),
      events_(events),
      retry_(loop, [this] { watcher_->watch({.readable = true}); }) {}

Listener::~Listener() {
  *alive_ = false;
}

Result<std::unique_ptr<Listener>> Listener::create(Loop& loop, BoundSocket socket,
                                                   const Service& service, Events& events) {
  const int fd = socket.fd();
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(socket), service, events));
  Result<Watcher> watcher =
      Watcher::create(loop, fd, [self = listener.get()](Watcher::Events) { self->accept_some(); });
  if (!watcher) return fail(std::move(watcher.error()));
  listener->watcher_ = std::make_unique<Watcher>(std::move(*watcher));
  listener->watcher_->watch({.readable = true});
  return listener;
}

void Listener::accept_some() {
  const std::shared_ptr<bool> alive = alive_;
  for (int i = 0; i < kAcceptBudget && *alive; ++i) {
    Fd socket = accept_connection(socket_.fd());
    if (socket) {
      Result<std::unique_ptr<Stream>> stream =
          SocketStream::adopt(loop_, std::move(socket), socket_.endpoint().options);
      if (stream) {
        events_.on_accept(std::move(*stream), service_);
      } else {
        events_.on_accept_error(stream.error());
      }
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    // Out of descriptors or memory: what waits stays in the backlog, and we come back for it.
    const int error = errno;
    watcher_->watch({});
    retry_.start(kRetry);
    return events_.on_accept_error(
        {Errc::overloaded, std::string("cannot accept: ") + std::strerror(error)});
  }
}

}  // namespace v0
}  // namespace cleave
