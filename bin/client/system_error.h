// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/protocol/error.h"

namespace cleave::cli {

// The error of a system call that failed with `number` (an errno) on something of this machine:
// "cannot open 'a': No such file or directory".
[[nodiscard]] Error system_error(int number, const std::string& what);

}  // namespace cleave::cli
