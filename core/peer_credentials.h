// SPDX-License-Identifier: MIT
#pragma once
// Internal: who is at the other end of a local socket.

#include <optional>

#include "cleave/core/request.h"

namespace cleave {
inline namespace v0 {

// Of a connected local socket: user, group and process as of its connect(2), where the system
// (Linux) tells all of them, without the process where it has getpeereid(3), and else empty.
// `portable`: do without what Linux alone has.
[[nodiscard]] std::optional<PeerCredentials> peer_credentials(int fd, bool portable = false);

}  // namespace v0
}  // namespace cleave
