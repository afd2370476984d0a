// SPDX-License-Identifier: MIT
#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {

std::size_t utf8_character_size(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const auto byte = [text](std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
  };
  const auto follows = [&byte](std::size_t at) { return (byte(at) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  const unsigned second = byte(1);
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;  // a continuation byte, or C0 and C1, which only begin overlong forms
  if (!follows(1)) return 0;
  if (first < 0xE0) return 2;
  // The second byte decides about overlong forms, surrogates and what lies above U+10FFFF.
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first < 0xF0) return follows(2) ? 3 : 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return first <= 0xF4 && follows(2) && follows(3) ? 4 : 0;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    if (static_cast<unsigned char>(text.front()) < 0x80) {  // nearly all of what a header holds
      text.remove_prefix(1);
      continue;
    }
    const std::size_t size = utf8_character_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace v0
}  // namespace cleave
