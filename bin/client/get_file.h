// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/client/transfer.h"

namespace cleave::cli {

// Fetches a file beside its place and puts it there when its size and its digest are those that the
// server says. After a break it goes on behind what has come, as long as the server's file is still
// the same. One that may be continued by a later command is left where that finds it.
[[nodiscard]] Result<Transferred> get_file(const Transfer& transfer);

// The same to standard output, from where nothing can be taken back.
[[nodiscard]] Result<Transferred> get_to_output(const Transfer& transfer);

}  // namespace cleave::cli
