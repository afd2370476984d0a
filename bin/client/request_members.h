// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "cleave/protocol/members.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// The members of a request as they are typed, `NAME=VALUE` each: a value that is JSON is sent as it
// is, any other as a string. `invalid_argument` where it is none, where the name is taken by the
// wire, and where one comes twice.
[[nodiscard]] Result<Members> request_members(const std::vector<std::string>& texts);
// The arguments of a named command, in the same way, under any names: a value that is a number, a
// list or a string of JSON's is sent as it is, any other as a string.
[[nodiscard]] Result<Members> command_arguments(const std::vector<std::string>& texts);

}  // namespace cleave::cli
