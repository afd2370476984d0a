// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "cleave/protocol/header.h"

namespace cleave::cli {

// What a server says of itself in JSON, for people: a list of commands as a table, one command with
// its members, anything else a line for each value, `memory.held: 0`. The last one has no newline.
[[nodiscard]] std::string readable(Value object, std::size_t width);

}  // namespace cleave::cli
