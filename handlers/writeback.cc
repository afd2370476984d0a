// SPDX-License-Identifier: MIT
#include "cleave/handlers/writeback.h"

#ifdef __linux__
#include <fcntl.h>
#endif

namespace cleave {
inline namespace v0 {

#ifdef __linux__
void start_writeback(const Fd& file) noexcept {
  // A failure shows when the file is synced.
  (void)::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
}
#else
void start_writeback(const Fd&) noexcept {}
#endif

}  // namespace v0
}  // namespace cleave
