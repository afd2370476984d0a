// SPDX-License-Identifier: MIT
#pragma once
// Internal.

#include "cleave/core/file.h"

namespace cleave {
inline namespace v0 {

// Begins to write the content of a file to the disk and does not wait. Done for several files
// before the first of them is synced, it lets the disk have them at once, and a journal all of
// their blocks in one transaction. Where the system has no such call it does nothing.
void start_writeback(const Fd& file) noexcept;

}  // namespace v0
}  // namespace cleave
