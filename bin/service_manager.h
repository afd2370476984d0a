// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// What a service manager and a daemon say to each other, as systemd's sd_listen_fds(3) and
// sd_notify(3) describe it. It is four variables and a datagram, and promised to stay as it is:
// less than what a library for it would bring along, which would be in every cleaved, also where
// there is no systemd. These calls change the environment, so they belong before the first thread.

// A socket that the process was started with.
struct InheritedSocket {
  std::string name;  // FileDescriptorName=, or "unknown"
  int number;        // the descriptor it was passed as, from 3 on
  Fd socket;
};

// Those that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES pass to this process, which are then removed
// from the environment: they are not for the programs that it starts. They become close-on-exec.
// `invalid_argument` where the variables do not say what is there.
[[nodiscard]] Result<std::vector<InheritedSocket>> take_inherited_sockets();

// Whoever wants to know how the daemon is; nobody, where there is no NOTIFY_SOCKET.
class ServiceManager {
 public:
  // Takes NOTIFY_SOCKET from the environment.
  [[nodiscard]] static ServiceManager from_environment();

  // The daemon serves, from now on or again. `status` is for whoever asks how it is.
  [[nodiscard]] Result<void> ready(std::string_view status) const;
  // It reads its configuration anew; ready() comes after it.
  [[nodiscard]] Result<void> reloading() const;
  [[nodiscard]] Result<void> stopping(std::string_view status) const;

 private:
  explicit ServiceManager(std::string socket) noexcept : socket_(std::move(socket)) {}
  [[nodiscard]] Result<void> say(std::string_view lines) const;

  std::string socket_;  // a path, or '@' and a name; empty: nobody
};

}  // namespace v0
}  // namespace cleave
