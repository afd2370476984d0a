// SPDX-License-Identifier: MIT
#include "cleave/core/bound_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <utility>

#include "cleave/core/reuse_port.h"
#include "cleave/core/socket_address.h"
#include "cleave/core/socket_option.h"

namespace cleave {
inline namespace v0 {
namespace {

using Transport = Endpoint::Transport;

Result<void> set_options(int fd, int family, const Endpoint& endpoint) {
  const SocketOptions& options = endpoint.options;
  if (endpoint.transport == Transport::tcp && options.reuse_address &&
      !set_socket_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
    return fail(socket_error("set reuse_address for", endpoint));
  }
  if (options.reuse_port) {
    if (auto done = set_reuse_port(fd); !done) return done;
  }
  if (family == AF_INET6 &&
      !set_socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.dual_stack ? 0 : 1)) {
    return fail(socket_error("set dual_stack for", endpoint));
  }
  return set_buffers(fd, endpoint);
}

// ---- Sockets that were made elsewhere -----------------------------------------------------------

tl::unexpected<Error> refuse(const Endpoint& how, const std::string& reason) {
  return fail(Errc::invalid_argument, "cannot serve " + how.url() + ": " + reason);
}

// What is wrong with its kind or its state; empty if it can be served.
std::string defect(int fd, int type, const SocketAddress& address) {
  const bool local = address.family() == AF_UNIX;
  if (!local && address.family() != AF_INET && address.family() != AF_INET6) {
    return "it is neither of IPv4 or IPv6 nor a unix socket";
  }
  SocketAddress peer;
  socklen_t size = sizeof peer.storage;
  const bool connected = ::getpeername(fd, peer.any(), &size) == 0;
  if (connected) return "it is connected to a single peer";
  if (type == SOCK_STREAM) {
    if (socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN).value_or(0) == 0) return "it does not listen";
    // Whoever is on this machine may connect to one that has no file, and so no mode.
    if (local && address.path().empty()) return "it is a unix socket without a file";
    return {};
  }
  if (type != SOCK_DGRAM) return "it is neither a stream's socket nor one for datagrams";
  if (local) return "it takes datagrams, and a unix socket is served as a stream only";
  if (address.port() == 0) return "it is not bound to a port";
  return {};
}

}  // namespace

Result<BoundSocket> BoundSocket::open(const Endpoint& endpoint, Admission& admission) {
  Result<SocketAddress> address = SocketAddress::from(endpoint);
  if (!address) return fail(std::move(address.error()));
  const int type = endpoint.is_datagram() ? SOCK_DGRAM : SOCK_STREAM;
  Fd socket(::socket(address->family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail(socket_error("open a socket for", endpoint));
  const int fd = socket.get();
  if (auto done = set_options(fd, address->family(), endpoint); !done) {
    return fail(std::move(done.error()));
  }
  if (auto admitted = admission.may_bind(endpoint, fd); !admitted) {
    return fail(std::move(admitted.error()));
  }
  Endpoint bound = endpoint;
  Fd folder;  // locked until the socket listens
  SocketFile file;
  if (endpoint.transport == Transport::local) {
    Result<Fd> locked = lock_folder(endpoint);
    if (!locked) return fail(std::move(locked.error()));
    folder = *std::move(locked);
    Result<SocketFile> made = bind_local(fd, endpoint);
    if (!made) return fail(std::move(made.error()));
    file = *std::move(made);
  } else {
    if (::bind(fd, address->any(), address->size()) != 0) {
      return fail(socket_error("listen on", endpoint));
    }
    socklen_t size = sizeof address->storage;
    if (::getsockname(fd, address->any(), &size) == 0) bound.port = address->port();
  }
  if (auto admitted = admission.may_activate(bound, fd); !admitted) {
    return fail(std::move(admitted.error()));
  }
  if (!endpoint.is_datagram() && ::listen(fd, static_cast<int>(endpoint.options.backlog)) != 0) {
    return fail(socket_error("listen on", endpoint));
  }
  return BoundSocket(std::move(socket), std::move(file), std::move(bound));
}

Result<BoundSocket> BoundSocket::adopt(Fd socket, const Endpoint& how, Admission& admission) {
  const int fd = socket.get();
  const std::optional<int> type = socket_option(fd, SOL_SOCKET, SO_TYPE);
  SocketAddress address;
  socklen_t size = sizeof address.storage;
  if (!type || ::getsockname(fd, address.any(), &size) != 0) return refuse(how, "it is no socket");
  if (const std::string reason = defect(fd, *type, address); !reason.empty()) {
    return refuse(how, reason);
  }
  Endpoint found = how;
  if (address.family() == AF_UNIX) {
    found.transport = Transport::local;
    found.path = address.path();
  } else {
    found.transport = *type == SOCK_STREAM ? Transport::tcp : Transport::udp;
    found.host = address.host();
    found.port = address.port();
    found.path.clear();
  }
  // Now that its kind is known: what is said of wire and options has to fit it.
  if (Result<Endpoint> fits = Endpoint::parse(found.url()); !fits) {
    return fail(std::move(fits.error()));
  }
  if (auto done = set_buffers(fd, found); !done) return fail(std::move(done.error()));
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    return fail(socket_error("serve", found));
  }
  if (auto admitted = admission.may_activate(found, fd); !admitted) {
    return fail(std::move(admitted.error()));
  }
  return BoundSocket(std::move(socket), {}, std::move(found));
}

}  // namespace v0
}  // namespace cleave
