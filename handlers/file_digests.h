// SPDX-License-Identifier: MIT
#pragma once
// Internal: the digests of a file that is transferred, and its bytes.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/file.h"
#include "cleave/handlers/digest.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// xxh3, by which both sides compare what they have, and sha256 where the caller knows it.
struct FileDigests {
  Digest xxh3 = Digest::create(DigestKind::xxh3).value();
  std::optional<Digest> sha256 = {};

  [[nodiscard]] static Result<FileDigests> create(bool with_sha256);
  void update(std::string_view bytes) noexcept;
};

// Exactly `size` bytes of a file from `offset` on. Blocks, so it is for workers.
[[nodiscard]] Result<std::string> read_at(const Fd& file, std::uint64_t offset, std::uint64_t size);

// Adds the bytes from `offset` up to `end`, or some of them: as many as a worker reads before it
// comes back, so that whoever waits can end it. Gives how many; blocks.
[[nodiscard]] Result<std::uint64_t> add_some(FileDigests& digests, const Fd& file,
                                             std::uint64_t offset, std::uint64_t end);

}  // namespace v0
}  // namespace cleave
