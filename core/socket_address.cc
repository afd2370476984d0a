// SPDX-License-Identifier: MIT
#include "cleave/core/socket_address.h"

#include <arpa/inet.h>

namespace cleave {
inline namespace v0 {

Result<SocketAddress> SocketAddress::from(const Endpoint& endpoint) {
  SocketAddress address;
  const std::string host = endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host;
  if (::inet_pton(AF_INET, host.c_str(), &address.storage.v4.sin_addr) == 1) {
    address.storage.v4.sin_family = AF_INET;
    address.storage.v4.sin_port = htons(endpoint.port);
    return address;
  }
  address = {};
  if (::inet_pton(AF_INET6, host.c_str(), &address.storage.v6.sin6_addr) == 1) {
    address.storage.v6.sin6_family = AF_INET6;
    address.storage.v6.sin6_port = htons(endpoint.port);
    return address;
  }
  return fail(Errc::invalid_argument, "'" + endpoint.host + "' is no numeric address");
}

std::uint16_t SocketAddress::port() const noexcept {
  return ntohs(family() == AF_INET6 ? storage.v6.sin6_port : storage.v4.sin_port);
}

bool SocketAddress::operator==(const SocketAddress& other) const noexcept {
  if (family() != other.family() || port() != other.port()) return false;
  if (family() != AF_INET6) {
    return storage.v4.sin_addr.s_addr == other.storage.v4.sin_addr.s_addr;
  }
  return IN6_ARE_ADDR_EQUAL(&storage.v6.sin6_addr, &other.storage.v6.sin6_addr);
}

std::string SocketAddress::text() const {
  char host[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET6) {
    (void)::inet_ntop(AF_INET6, &storage.v6.sin6_addr, host, sizeof host);
    return "[" + std::string(host) + "]:" + std::to_string(port());
  }
  (void)::inet_ntop(AF_INET, &storage.v4.sin_addr, host, sizeof host);
  return std::string(host) + ":" + std::to_string(port());
}

}  // namespace v0
}  // namespace cleave
