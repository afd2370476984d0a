// SPDX-License-Identifier: MIT
#pragma once
// Internal: what the operating system says to a client's own files.

#include <string>

#include "cleave/protocol/error.h"

namespace cleave {
inline namespace v0 {

// The error of a system call that failed with `number` (an errno) on something of this machine:
// "cannot open 'a': No such file or directory".
[[nodiscard]] Error local_error(int number, const std::string& what);

}  // namespace v0
}  // namespace cleave
