// SPDX-License-Identifier: MIT
#pragma once
// Internal: options of sockets, and what is said when the system refuses something.

#include <string_view>

#include "cleave/core/endpoint.h"
#include "cleave/core/time.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

bool set_socket_option(int fd, int level, int name, int value) noexcept;
// Empty, with errno, where the descriptor has none such.
[[nodiscard]] std::optional<int> socket_option(int fd, int level, int name) noexcept;

// SO_RCVBUF and SO_SNDBUF, where the endpoint says something of them. To be set before a socket
// listens or connects: a window is announced then.
[[nodiscard]] Result<void> set_buffers(int fd, const Endpoint& endpoint);

// TCP_USER_TIMEOUT, where the system has it.
void set_user_timeout(int fd, Millis silence) noexcept;

// "cannot WHAT URL: REASON", with errno as the reason: `permission_denied`, `already_exists` where
// the address is taken, or `io_error`.
[[nodiscard]] Error socket_error(std::string_view what, const Endpoint& endpoint);

}  // namespace v0
}  // namespace cleave
