// SPDX-License-Identifier: MIT
#include "cleave/core/socket_option.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

namespace cleave {
inline namespace v0 {

bool set_socket_option(int fd, int level, int name, int value) noexcept {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

std::optional<int> socket_option(int fd, int level, int name) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, level, name, &value, &size) != 0) return std::nullopt;
  return value;
}

Result<void> set_buffers(int fd, const Endpoint& endpoint) {
  const auto set = [fd](std::optional<std::uint32_t> bytes, int name) {
    return !bytes || set_socket_option(fd, SOL_SOCKET, name, static_cast<int>(*bytes));
  };
  const SocketOptions& options = endpoint.options;
  if (!set(options.receive_buffer, SO_RCVBUF)) {
    return fail(socket_error("set receive_buffer for", endpoint));
  }
  if (!set(options.send_buffer, SO_SNDBUF)) {
    return fail(socket_error("set send_buffer for", endpoint));
  }
  return {};
}

void set_user_timeout(int fd, Millis silence) noexcept {
#ifdef TCP_USER_TIMEOUT
  constexpr Millis kMost(std::numeric_limits<int>::max());
  (void)set_socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
                          static_cast<int>(std::min(silence, kMost).count()));
#else
  (void)fd;
  (void)silence;
#endif
}

Error socket_error(std::string_view what, const Endpoint& endpoint) {
  const int error = errno;
  Errc code = Errc::io_error;
  if (error == EACCES || error == EPERM) code = Errc::permission_denied;
  if (error == EADDRINUSE) code = Errc::already_exists;
  return {code, "cannot " + std::string(what) + " " + endpoint.url() + ": " + std::strerror(error)};
}

}  // namespace v0
}  // namespace cleave
