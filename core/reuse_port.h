// SPDX-License-Identifier: MIT
#pragma once
// Internal: several sockets on one port.

#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Lets other sockets of the same user, made the same way, be bound where this one will be; the
// kernel spreads connections or datagrams over them. `failed_precondition` where the system does
// not do that. `portable`: as if it were such a one.
[[nodiscard]] Result<void> set_reuse_port(int fd, bool portable = false);

}  // namespace v0
}  // namespace cleave
