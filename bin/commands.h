// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/config.h"
#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Registers the commands that cleaved offers. Fails where one cannot do its work: a folder for
// files that cannot be used.
[[nodiscard]] Result<void> add_commands(Router& router, Loop& loop, const Config& config);

}  // namespace v0
}  // namespace cleave
