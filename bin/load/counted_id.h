// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>

namespace cleave::load {

// Ids that count up begin here, so that all that are ever reached have the same number of digits,
// and one can be written over another.
inline constexpr std::uint64_t kFirstCountedId = 1'000'000'000'000;
inline constexpr std::size_t kCountedIdDigits = 13;

// Writes all digits of an id that counts up.
inline void write_counted_id(char* to, std::uint64_t id) noexcept {
  std::to_chars(to, to + kCountedIdDigits, id);
}

}  // namespace cleave::load
