// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/client/transfer.h"

namespace cleave::cli {

// What is done with one file, by put_file() and get_file() of the library.

[[nodiscard]] Result<Transferred> store(const Transfer& transfer);
[[nodiscard]] Result<Transferred> fetch(const Transfer& transfer);
// To standard output, from where nothing can be taken back.
[[nodiscard]] Result<Transferred> fetch_to_output(const Transfer& transfer);

}  // namespace cleave::cli
