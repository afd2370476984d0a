// SPDX-License-Identifier: MIT
#include "cleave/core/listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cleave/core/socket_address.h"
#include "cleave/core/tcp_stream.h"

namespace cleave {
inline namespace v0 {
namespace {

// Taken from the backlog in one turn, so that a flood of connections does not starve the others.
constexpr int kAcceptBudget = 64;
constexpr Millis kRetry(100);

Error cannot(const std::string& what, const Endpoint& endpoint) {
  const int error = errno;
  return {error == EACCES ? Errc::permission_denied : Errc::io_error,
          "cannot " + what + " " + endpoint.url() + ": " + std::strerror(error)};
}

}  // namespace

Listener::Listener(Loop& loop, Endpoint endpoint, Fd socket, Events& events)
    : loop_(loop),
      endpoint_(std::move(endpoint)),
      socket_(std::move(socket)),
      events_(events),
      retry_(loop, [this] { watcher_->watch({.readable = true}); }) {}

Listener::~Listener() {
  *alive_ = false;
}

Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, const Endpoint& endpoint, int backlog,
                                                 Events& events) {
  Result<SocketAddress> address = SocketAddress::from(endpoint);
  if (!address) return fail(std::move(address.error()));
  Fd socket(::socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail(cannot("open a socket for", endpoint));
  // A restarted server must not wait for the last one's connections to be forgotten.
  const int on = 1;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->family() == AF_INET6) {
    (void)::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  if (::bind(socket.get(), address->any(), address->size()) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    return fail(cannot("listen on", endpoint));
  }
  Endpoint bound = endpoint;
  socklen_t size = sizeof address->storage;
  if (::getsockname(socket.get(), address->any(), &size) == 0) bound.port = address->port();

  const int fd = socket.get();
  std::unique_ptr<Listener> listener(
      new Listener(loop, std::move(bound), std::move(socket), events));
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
    Fd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      Result<std::unique_ptr<Stream>> stream = TcpStream::adopt(loop_, std::move(socket));
      if (stream) {
        events_.on_accept(std::move(*stream));
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
