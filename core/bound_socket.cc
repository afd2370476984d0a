// SPDX-License-Identifier: MIT
#include "cleave/core/bound_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cleave/core/socket_address.h"

namespace cleave {
inline namespace v0 {
namespace {

Error cannot(const std::string& what, const Endpoint& endpoint) {
  const int error = errno;
  Errc code = Errc::io_error;
  if (error == EACCES || error == EPERM) code = Errc::permission_denied;
  if (error == EADDRINUSE) code = Errc::already_exists;
  return {code, "cannot " + what + " " + endpoint.url() + ": " + std::strerror(error)};
}

bool set(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Result<void> set_options(int fd, const Endpoint& endpoint) {
  const SocketOptions& options = endpoint.options;
  if (!endpoint.is_datagram() && options.reuse_address && !set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
    return fail(cannot("set reuse_address for", endpoint));
  }
  if (options.reuse_port && !set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
    return fail(cannot("set reuse_port for", endpoint));
  }
  // Accepted sockets inherit their buffers' sizes, and a window is announced before they exist.
  if (options.receive_buffer &&
      !set(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(*options.receive_buffer))) {
    return fail(cannot("set receive_buffer for", endpoint));
  }
  if (options.send_buffer &&
      !set(fd, SOL_SOCKET, SO_SNDBUF, static_cast<int>(*options.send_buffer))) {
    return fail(cannot("set send_buffer for", endpoint));
  }
  return {};
}

}  // namespace

Result<BoundSocket> BoundSocket::open(const Endpoint& endpoint, Admission& admission) {
  if (endpoint.transport == Endpoint::Transport::local) {
    return fail(Errc::invalid_argument, "unix sockets are not built yet");
  }
  Result<SocketAddress> address = SocketAddress::from(endpoint);
  if (!address) return fail(std::move(address.error()));
  const int type = endpoint.is_datagram() ? SOCK_DGRAM : SOCK_STREAM;
  Fd socket(::socket(address->family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail(cannot("open a socket for", endpoint));
  const int fd = socket.get();
  if (auto done = set_options(fd, endpoint); !done) return fail(std::move(done.error()));
  if (address->family() == AF_INET6 &&
      !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, endpoint.options.dual_stack ? 0 : 1)) {
    return fail(cannot("set dual_stack for", endpoint));
  }
  if (auto admitted = admission.on_bind(endpoint, fd); !admitted) {
    return fail(std::move(admitted.error()));
  }
  if (::bind(fd, address->any(), address->size()) != 0) {
    return fail(cannot("listen on", endpoint));
  }
  Endpoint bound = endpoint;
  socklen_t size = sizeof address->storage;
  if (::getsockname(fd, address->any(), &size) == 0) bound.port = address->port();
  if (auto admitted = admission.on_activate(bound, fd); !admitted) {
    return fail(std::move(admitted.error()));
  }
  if (!endpoint.is_datagram() && ::listen(fd, static_cast<int>(endpoint.options.backlog)) != 0) {
    return fail(cannot("listen on", endpoint));
  }
  return BoundSocket(std::move(socket), std::move(bound));
}

}  // namespace v0
}  // namespace cleave
