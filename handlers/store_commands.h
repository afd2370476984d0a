// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/handlers/file_store.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// The commands of a file store: `put`, `get`, `list`, `stat`, `delete`, `move` and `verify`. All
// file work is done in the loop's worker pool. `loop` must outlive the router.
//
//     add_store(router, *loop, FileStore::open("file_upload").value());
//
// README.md of this folder tells what they do, and why. Older clients name the size of a put in
// `filesize`; such a put is never answered. Without a store (null) the commands are described, for
// `help` and checks, and must not be called.
//
// A process that runs it should ignore SIGXFSZ if it has a limit for the size of files: exceeding
// that is then `too_large`.
CLEAVE_API void add_store(Router& router, Loop& loop, std::shared_ptr<const FileStore> store);

}  // namespace v0
}  // namespace cleave
