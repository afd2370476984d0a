// SPDX-License-Identifier: MIT
#pragma once
// Internal: what the connections of one loop share.

#include <cstddef>
#include <string>
#include <vector>

#include "cleave/core/block.h"
#include "cleave/core/buffer.h"
#include "cleave/core/loop.h"

namespace cleave {
inline namespace v0 {

// Output that is gathered during one call from the loop, to leave in one write: small pieces lie
// one behind the other in `bytes`, large ones are referred to. Its memory is used again and again.
struct OutputBatch {
  struct Large {
    std::size_t at;  // behind so many of `bytes`
    Buffer buffer;
  };
  std::string bytes;
  std::vector<Large> large;
  std::size_t large_bytes = 0;
  bool in_use = false;

  [[nodiscard]] std::size_t size() const noexcept { return bytes.size() + large_bytes; }
  [[nodiscard]] bool empty() const noexcept { return bytes.empty() && large.empty(); }
  void clear() noexcept {
    bytes.clear();
    large.clear();
    large_bytes = 0;
  }
};

// Made by LoopInternals::get(), so there is one for each loop.
struct LoopShared {
  explicit LoopShared(Loop&) {}

  BlockPool blocks;
  OutputBatch batch;
};

}  // namespace v0
}  // namespace cleave
