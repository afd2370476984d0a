// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/handlers/file_store.h"
#include "cleave/handlers/open_files.h"

namespace cleave {
inline namespace v0 {

// `put`, one of the commands of store_commands.h: stores a body of any size in constant memory.
void add_put(Router& router, Loop& loop, std::shared_ptr<const FileStore> store,
             std::shared_ptr<OpenFiles> open_files);

}  // namespace v0
}  // namespace cleave
