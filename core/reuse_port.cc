// SPDX-License-Identifier: MIT
#include "cleave/core/reuse_port.h"

#include <sys/socket.h>

#include "cleave/core/socket_option.h"

namespace cleave {
inline namespace v0 {
namespace {

// Elsewhere SO_REUSEPORT lets sockets share a port, but all goes to the last of them.
#if defined(__linux__)
constexpr int kReusePort = SO_REUSEPORT;
#elif defined(SO_REUSEPORT_LB)
constexpr int kReusePort = SO_REUSEPORT_LB;
#else
constexpr int kReusePort = -1;
#endif

}  // namespace

Result<void> set_reuse_port(int fd, bool portable) {
  if (!portable && kReusePort >= 0 && set_socket_option(fd, SOL_SOCKET, kReusePort, 1)) return {};
  return fail(Errc::failed_precondition,
              "this system does not spread one port over several sockets (reuse_port)");
}

}  // namespace v0
}  // namespace cleave
