// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/router.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// `upper`: replies with the body, ASCII a to z turned into A to Z and every other byte untouched,
// so that text in UTF-8 stays whole. Any size in constant memory, as echo.
CLEAVE_API void add_upper(Router& router);

}  // namespace v0
}  // namespace cleave
