// SPDX-License-Identifier: MIT
#include "cleave/core/peer_credentials.h"

#include <sys/socket.h>
#include <unistd.h>

namespace cleave {
inline namespace v0 {
namespace {

std::optional<PeerCredentials> portable_credentials([[maybe_unused]] int fd) {
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
  uid_t user = 0;
  gid_t group = 0;
  if (::getpeereid(fd, &user, &group) == 0) return PeerCredentials{.uid = user, .gid = group};
#endif
  return std::nullopt;
}

}  // namespace

#ifdef __linux__

std::optional<PeerCredentials> peer_credentials(int fd, bool portable) {
  if (portable) return portable_credentials(fd);
  ucred found = {};
  socklen_t size = sizeof found;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &size) != 0) return std::nullopt;
  // A process that this one cannot see, from another container, has the number 0.
  return PeerCredentials{.pid = found.pid > 0 ? found.pid : -1, .uid = found.uid, .gid = found.gid};
}

#else

std::optional<PeerCredentials> peer_credentials(int fd, bool /*portable*/) {
  return portable_credentials(fd);
}

#endif

}  // namespace v0
}  // namespace cleave
