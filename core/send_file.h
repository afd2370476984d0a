// SPDX-License-Identifier: MIT
#pragma once
// Internal: a file into a socket.

#include <cstddef>
#include <cstdint>

#include "cleave/core/stream.h"

namespace cleave {
inline namespace v0 {

// Sends up to `length` bytes of `file` from `offset` into a non-blocking socket: by sendfile(2)
// where there is one, else by send_file_copying(). `bad_file` where the file ends before, or cannot
// be read.
[[nodiscard]] Stream::Moved send_file(int socket, int file, std::uint64_t offset,
                                      std::size_t length);

// The portable form: through a buffer.
[[nodiscard]] Stream::Moved send_file_copying(int socket, int file, std::uint64_t offset,
                                              std::size_t length);

}  // namespace v0
}  // namespace cleave
