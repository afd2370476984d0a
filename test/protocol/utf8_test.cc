// SPDX-License-Identifier: MIT
#include "cleave/protocol/utf8.h"

#include <doctest/doctest.h>

#include <string>

using namespace cleave;

namespace {

// The plain encoding of a code point, whether it may be encoded or not.
std::string encoded(std::uint32_t point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  const auto tail = [&](unsigned shift) { return byte(0x80U | (point >> shift & 0x3FU)); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xC0U | point >> 6U), tail(0)};
  if (point < 0x10000) return {byte(0xE0U | point >> 12U), tail(6), tail(0)};
  return {byte(0xF0U | point >> 18U), tail(12), tail(6), tail(0)};
}

}  // namespace

TEST_CASE("every code point but the surrogates is a character, whole and not cut short") {
  std::uint32_t wrong = 0;
  const std::uint32_t step = CLEAVE_SANITIZED ? 7 : 1;  // every one is tried where that is quick
  for (std::uint32_t point = 0; point <= 0x13FFFF; point += step) {
    const std::string text = encoded(point);
    const bool legal = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
    const std::size_t size = legal ? text.size() : 0;
    if (utf8_character_size(text) != size) ++wrong;
    if (utf8_character_size(text + "x") != size) ++wrong;
    if (text.size() > 1 && utf8_character_size(text.substr(0, text.size() - 1)) != 0) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("overlong forms, stray bytes and impossible bytes are no UTF-8") {
  for (const char* text :
       {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xE0\x9F\xBF", "\xF0\x80\x80\xAF",
        "\xF0\x8F\xBF\xBF", "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xC3", "a\xE4\xB8", "\xC3(", "\xE4\xB8(", "\xF0\x9F\x98("}) {
    CAPTURE(text);
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("text of many languages is UTF-8, and so is none") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("plain"));
  CHECK(is_utf8("粘包 größer Привет \U0001F600"));
  CHECK(is_utf8(std::string_view("a\0b", 3)));
}
