// SPDX-License-Identifier: MIT
#include "cleave/core/accept.h"

#include <fcntl.h>
#include <sys/socket.h>

namespace cleave {
inline namespace v0 {

Fd accept_connection(int listener, bool portable) {
#ifdef __linux__
  if (!portable) {
    return Fd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
#else
  (void)portable;
#endif
  Fd socket(::accept(listener, nullptr, nullptr));
  if (!socket) return socket;
  const int flags = ::fcntl(socket.get(), F_GETFL);
  ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK);
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  return socket;
}

}  // namespace v0
}  // namespace cleave
