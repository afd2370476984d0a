// SPDX-License-Identifier: MIT
#pragma once
// Internal: where a socket is, as the system wants it.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "cleave/core/endpoint.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct SocketAddress {
  // The longest comes first: `{}` makes that one zero, and no more.
  union {
    sockaddr_un local;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage{};

  // `invalid_argument` where the host is no numeric address, the path is longer than the system
  // takes (it is never cut), or the endpoint is one that has no address.
  [[nodiscard]] static Result<SocketAddress> from(const Endpoint& endpoint);

  [[nodiscard]] sockaddr* any() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* any() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
  [[nodiscard]] int family() const noexcept { return any()->sa_family; }
  [[nodiscard]] socklen_t size() const noexcept;
  // Of an IP address.
  [[nodiscard]] std::uint16_t port() const noexcept;
  // The same IP address and port; the interface of a link's own address does not count.
  [[nodiscard]] bool operator==(const SocketAddress& other) const noexcept;
  // Of an IP address, without brackets.
  [[nodiscard]] std::string host() const;
  // Of a local one; empty where it is bound to no file.
  [[nodiscard]] std::string path() const;
  // "127.0.0.1:80", "[::1]:80", or the path.
  [[nodiscard]] std::string text() const;
};

}  // namespace v0
}  // namespace cleave
