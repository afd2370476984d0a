// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// The bytes of the UTF-8 character that `text` begins with: 1 to 4, or 0 where it begins with
// none (also where the character is cut short, overlong, a surrogate or above U+10FFFF).
[[nodiscard]] CLEAVE_API std::size_t utf8_character_size(std::string_view text) noexcept;

// True if `text` is UTF-8 from its first byte to its last.
[[nodiscard]] CLEAVE_API bool is_utf8(std::string_view text) noexcept;

}  // namespace v0
}  // namespace cleave
