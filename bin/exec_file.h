// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "cleave/handlers/named_command.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// The file that `--exec FILE` names: the commands that clients may run, as bin/README.md describes
// them. `invalid_argument` and one sentence with the place for whoever wrote it. `name` is the
// file's.
[[nodiscard]] Result<NamedCommands> parse_exec_file(std::string_view toml, const std::string& name);

}  // namespace v0
}  // namespace cleave
