// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/bin/load/settings.h"
#include "cleave/protocol/result.h"

namespace cleave::load {

struct CommandLine {
  Settings settings = {};
  std::string print = {};  // what --help and --version ask for, and nothing else is to be done
};

// `invalid_argument` with a sentence for a wrong usage. The server's address may come from
// CLEAVE_SERVER.
[[nodiscard]] Result<CommandLine> parse_command_line(int argc, const char* const* argv);

}  // namespace cleave::load
