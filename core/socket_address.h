// SPDX-License-Identifier: MIT
#pragma once
// Internal: an IP address and port as the system wants it.

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "cleave/core/endpoint.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct SocketAddress {
  union {
    sockaddr_in v4;
    sockaddr_in6 v6;
  } storage{};

  // `invalid_argument` where the host is no numeric address.
  [[nodiscard]] static Result<SocketAddress> from(const Endpoint& endpoint);

  [[nodiscard]] sockaddr* any() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* any() const noexcept {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
  [[nodiscard]] int family() const noexcept { return any()->sa_family; }
  [[nodiscard]] socklen_t size() const noexcept {
    return family() == AF_INET6 ? sizeof storage.v6 : sizeof storage.v4;
  }
  [[nodiscard]] std::uint16_t port() const noexcept;
  // The same address and port; the interface of a link's own address does not count.
  [[nodiscard]] bool operator==(const SocketAddress& other) const noexcept;
  // "127.0.0.1:80", "[::1]:80".
  [[nodiscard]] std::string text() const;
};

}  // namespace v0
}  // namespace cleave
