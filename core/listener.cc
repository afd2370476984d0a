// SPDX-License-Identifier: MIT
#include "cleave/core/listener.h"

#include <fcntl.h>

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

Fd spare_descriptor() {
  return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Listener::Listener(Loop& loop, BoundSocket socket, const Service& service, Events& events)
    : loop_(loop),
      socket_(std::move(socket)),
      spare_(spare_descriptor()),
      service_(service),
      events_(events),
      retry_(loop, [this] { watcher_->watch({.readable = true}); }) {}

Listener::~Listener() {
  *alive_ = false;
}

Result<std::unique_ptr<Listener>> Listener::create(Loop& loop, BoundSocket socket,
                                                   const Service& service, Events& events) {
  const int fd = socket.fd();
  if (socket.endpoint().transport == Endpoint::Transport::tcp) {
    SocketStream::set_tcp_options(fd, socket.endpoint().options);
  }
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
    if (Fd socket = accept_connection(socket_.fd()); socket) {
      take(std::move(socket), nullptr);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EAGAIN) return;
    const int error = errno;
    if (error == EMFILE || error == ENFILE) {
      if (refuse_one()) continue;
      if (errno == EAGAIN) return;  // the system looks for a descriptor before it looks who waits
    }
    // What waits stays in the backlog, and we come back for it.
    watcher_->watch({});
    retry_.start(kRetry);
    return events_.on_accept_error(
        {Errc::overloaded, std::string("cannot accept: ") + std::strerror(error)});
  }
}

// False, with errno, if nobody could be taken even with the spare descriptor.
bool Listener::refuse_one() {
  const Error no_room{
      Errc::busy,
      std::string("the server has no descriptor left for a connection: ") + std::strerror(errno)};
  if (!spare_) spare_ = spare_descriptor();
  spare_.reset();
  Fd socket = accept_connection(socket_.fd());
  if (!socket) {
    const int error = errno;
    spare_ = spare_descriptor();
    errno = error;
    return false;
  }
  const std::shared_ptr<bool> alive = alive_;
  take(std::move(socket), &no_room);
  if (*alive) spare_ = spare_descriptor();
  return true;
}

void Listener::take(Fd socket, const Error* no_room) {
  Result<std::unique_ptr<Stream>> stream =
      SocketStream::accepted(loop_, std::move(socket), socket_.endpoint().options);
  if (!stream) return events_.on_accept_error(stream.error());
  if (no_room == nullptr) return events_.on_accept(std::move(*stream), service_);
  events_.on_no_room(std::move(*stream), service_, *no_room);
}

}  // namespace v0
}  // namespace cleave
