// SPDX-License-Identifier: MIT
#pragma once
// Internal: a connection from a listening socket.

#include "cleave/core/file.h"

namespace cleave {
inline namespace v0 {

// The next connection that waits, non-blocking and close-on-exec; empty, with errno, if there is
// none. `portable`: do without accept4(2); a program that another thread starts in between inherits
// the connection then.
[[nodiscard]] Fd accept_connection(int listener, bool portable = false);

}  // namespace v0
}  // namespace cleave
