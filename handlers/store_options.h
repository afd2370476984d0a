// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "cleave/core/limits.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// What a store keeps to. Named in the configuration and in `limits` as here; the reasons for the
// defaults are in the table.
struct StoreLimits {
  std::uint64_t store_max_open = 512;
  std::uint64_t store_quota_bytes = 0;
  std::uint64_t store_quota_files = 0;
  std::uint64_t store_free_bytes = 64 * 1024 * 1024;
  std::uint64_t store_free_files = 1'000;
  std::uint64_t store_partial_bytes = std::uint64_t{64} * 1024 * 1024 * 1024;
  std::uint64_t store_partial_files = 100'000;
  std::uint64_t store_partial_age_ms = std::uint64_t{7} * 24 * 3'600'000;
};
// With their ranges and reasons. Static storage.
[[nodiscard]] CLEAVE_API std::span<const LimitOf<StoreLimits>> store_limit_table() noexcept;

// What an acknowledged change outlives.
enum class Durability : std::uint8_t {
  none,  // the process, however that ends
  data,  // and a power cut, as far as content goes: a file that is there is whole
  full,  // and its name is there
};
// "none", "data", "full".
[[nodiscard]] CLEAVE_API std::string_view to_string(Durability durability) noexcept;

struct FileStoreOptions {
  StoreLimits limits = {};
  Durability durability = Durability::full;
  // Do without what Linux alone has (for tests; see Beneath).
  bool portable = false;
};

}  // namespace v0
}  // namespace cleave
