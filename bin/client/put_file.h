// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/client/transfer.h"

namespace cleave::cli {

// Stores a file, and compares the server's digest of what it has stored with ours of what was read.
//
// A large file, and any that may be continued, is sent as an upload: after a break it goes on where
// the server's disk has got to. One that may be continued by a later command has the same name of
// an upload each time, made of what the file is; others have one that is used once. A server that
// offers no uploads is sent the whole file again.
[[nodiscard]] Result<Transferred> put_file(const Transfer& transfer);

}  // namespace cleave::cli
