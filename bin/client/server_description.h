// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// What a server says of itself, in the body of its reply to `ping`, `stats`, `limits` or `help`: an
// object of JSON as a header is, which may be longer than one.
[[nodiscard]] Result<Ref<const Header>> parse_description(std::string_view json);

}  // namespace cleave::cli
