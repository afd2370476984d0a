// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cleave/core/limits.h"
#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/handlers/file_store.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// The limits are named in the configuration and in `limits` as they are here.
struct StoreOptions {
  std::uint64_t store_max_open = 512;
};
// With their ranges and reasons. Static storage.
[[nodiscard]] CLEAVE_API std::span<const LimitOf<StoreOptions>> store_limit_table() noexcept;

// The commands of a file store: `put`, `get`, `list`, `stat`, `delete`, `move` and `verify`. All
// file work is done in the loop's worker pool. `loop` must outlive the router.
//
//     add_store(router, *loop, FileStore::open("file_upload").value());
//
// - put: see put_command.h. Older clients name the size in `filesize`; such a put is never
// answered.
// - get: `length` is cut where it reaches beyond the end of the file; an `offset` beyond the end is
//   an invalid argument.
// - list: a line for each entry. Entries that no file name can name are left out (FileName).
// - verify: reads the file in steps, and stops between two of them when it is cancelled.
// - Above `store_max_open` puts, gets and verifies under way, more of them are refused with `busy`,
//   and above a quarter of that for one host other than this machine.
//
// A process that runs it should ignore SIGXFSZ if it has a limit for the size of files: exceeding
// that is then `too_large`.
CLEAVE_API void add_store(Router& router, Loop& loop, std::shared_ptr<const FileStore> store,
                          const StoreOptions& options = {});

}  // namespace v0
}  // namespace cleave
