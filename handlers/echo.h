// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/router.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// `echo`: replies with the body. Any size in constant memory: chunks wait in the reply until its
// reader takes them, and while they wait the sender is held back.
CLEAVE_API void add_echo(Router& router);

}  // namespace v0
}  // namespace cleave
