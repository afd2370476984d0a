// SPDX-License-Identifier: MIT
#include "cleave/bin/escape.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>

#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};
constexpr std::array kHidden = {
    Range{0x00, 0x1F},       Range{0x7F, 0x9F},      // control characters, of both sets
    Range{0xAD, 0xAD},       Range{0x61C, 0x61C},    // the soft hyphen; a mark of direction
    Range{0x180E, 0x180E},   Range{0x200B, 0x200F},  // of no width, and marks of direction
    Range{0x2028, 0x202E},                           // ends of lines, overrides of direction
    Range{0x2060, 0x206F},                           // of no width, isolates of direction
    Range{0xFEFF, 0xFEFF},   Range{0xFFF9, 0xFFFB},  // byte order, marks of annotations
    Range{0xE0000, 0xE007F},                         // tags
};

}  // namespace

CodePoint first_code_point(std::string_view text) noexcept {
  const std::size_t bytes = utf8_character_size(text);
  const auto first = static_cast<unsigned char>(text.front());
  if (bytes < 2) return {first, bytes};
  // As many bits at the top as there are bytes, and a zero.
  char32_t value = first & (0x7FU >> bytes);
  for (const char next : text.substr(1, bytes - 1)) {
    value = value << 6U | (static_cast<unsigned char>(next) & 0x3FU);
  }
  return {value, bytes};
}

bool is_hidden(char32_t value) noexcept {
  return std::ranges::any_of(
      kHidden, [value](const Range& range) { return value >= range.first && value <= range.last; });
}

void append_json_escape(std::string& out, char32_t value) {
  const auto append = [&out](char32_t half) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "\\u%04x", static_cast<unsigned>(half & 0xFFFF));
    out += text.data();
  };
  if (value <= 0xFFFF) return append(value);
  append(0xD800 + ((value - 0x10000) >> 10U));
  append(0xDC00 + (value & 0x3FF));
}

void append_escaped(std::string& out, std::string_view text, std::size_t limit) {
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    std::string_view raw = text.substr(0, std::max<std::size_t>(point.bytes, 1));
    text.remove_prefix(raw.size());
    std::string escape;
    if (point.bytes == 0) {
      escape = "\\ufffd";
    } else if (is_hidden(point.value)) {
      append_json_escape(escape, point.value);
    } else if (point.value == '"' || point.value == '\\') {
      escape = "\\";
      escape += raw;
    }
    if (!escape.empty()) raw = escape;
    if (out.size() + raw.size() > limit) {
      out.append("…");
      return;
    }
    out.append(raw);
  }
}

bool is_plain_word(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '=' && c != '\\';
  });
}

}  // namespace v0
}  // namespace cleave
