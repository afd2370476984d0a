// SPDX-License-Identifier: MIT
#include "cleave/core/socket_address.h"

#include <arpa/inet.h>

#include <cstddef>
#include <cstring>

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::size_t kPathBytes = sizeof(sockaddr_un::sun_path);

Result<SocketAddress> local_address(const std::string& path) {
  SocketAddress address;
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(Errc::invalid_argument, "expected the path of a socket");
  }
  if (path.size() >= kPathBytes) {
    return fail(Errc::invalid_argument,
                "the path '" + path + "' has " + std::to_string(path.size()) +
                    " bytes, and the system takes " + std::to_string(kPathBytes - 1));
  }
  address.storage.local.sun_family = AF_UNIX;
  path.copy(address.storage.local.sun_path, path.size());
  return address;
}

}  // namespace

Result<SocketAddress> SocketAddress::from(const Endpoint& endpoint) {
  if (endpoint.transport == Endpoint::Transport::local) return local_address(endpoint.path);
  if (endpoint.transport == Endpoint::Transport::inherited) {
    return fail(Errc::invalid_argument,
                "'" + endpoint.url() + "' is a socket that is passed on, and no address");
  }
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

socklen_t SocketAddress::size() const noexcept {
  if (family() == AF_UNIX) {
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                  std::strlen(storage.local.sun_path) + 1);
  }
  return family() == AF_INET6 ? sizeof storage.v6 : sizeof storage.v4;
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

std::string SocketAddress::host() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET6) {
    (void)::inet_ntop(AF_INET6, &storage.v6.sin6_addr, text, sizeof text);
  } else {
    (void)::inet_ntop(AF_INET, &storage.v4.sin_addr, text, sizeof text);
  }
  return text;
}

std::string SocketAddress::path() const {
  const char* const path = storage.local.sun_path;
  // The system gives back a path of the full length without a NUL behind it.
  return {path, ::strnlen(path, kPathBytes)};
}

std::string SocketAddress::text() const {
  if (family() == AF_UNIX) return path();
  const std::string port_text = ":" + std::to_string(port());
  return (family() == AF_INET6 ? "[" + host() + "]" : host()) + port_text;
}

}  // namespace v0
}  // namespace cleave
