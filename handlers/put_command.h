// SPDX-License-Identifier: MIT
#pragma once
// Internal: the command `put`.

#include <memory>

#include "cleave/core/router.h"
#include "cleave/handlers/open_files.h"
#include "cleave/handlers/put.h"

namespace cleave {
inline namespace v0 {

// `put`, one of the commands of store_commands.h: stores a body of any size in constant memory.
void add_put(Router& router, PutParts parts, std::shared_ptr<OpenFiles> open_files);

}  // namespace v0
}  // namespace cleave
