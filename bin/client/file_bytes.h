// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "cleave/bin/client/session.h"
#include "cleave/core/file.h"
#include "cleave/handlers/digest.h"

namespace cleave::cli {

// Exactly `size` bytes of a file from `offset` on. Blocks, so it is for workers.
[[nodiscard]] Result<std::string> read_at(const Fd& file, std::uint64_t offset, std::uint64_t size);

// The XXH3-64 of the first `size` bytes of a file, to which others can be added. A worker reads
// them while the session's loop goes on; Ctrl-C ends it.
[[nodiscard]] Result<Digest> digest_of_prefix(Session& session, const SharedFd& file,
                                              std::uint64_t size);

}  // namespace cleave::cli
