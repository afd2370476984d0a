// SPDX-License-Identifier: MIT
#include "cleave/bin/escape.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>

namespace cleave {
inline namespace v0 {
namespace {

struct CodePoint {
  char32_t value;
  std::size_t bytes;  // 0: what stands here is not UTF-8
};

// The shape of a sequence, by its first byte; the smallest value keeps out overlong forms.
struct Lead {
  unsigned char mask;
  unsigned char mark;
  std::size_t bytes;
  char32_t smallest;
};
constexpr std::array<Lead, 4> kLeads = {
    {{0x80, 0x00, 1, 0}, {0xE0, 0xC0, 2, 0x80}, {0xF0, 0xE0, 3, 0x800}, {0xF8, 0xF0, 4, 0x10000}}};

CodePoint decode(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text.front());
  for (const Lead& lead : kLeads) {
    if ((first & lead.mask) != lead.mark) continue;
    if (text.size() < lead.bytes) break;
    char32_t value = first & static_cast<unsigned char>(~lead.mask);
    for (const char next : text.substr(1, lead.bytes - 1)) {
      const auto byte = static_cast<unsigned char>(next);
      if ((byte & 0xC0) != 0x80) return {0, 0};
      value = value << 6 | (byte & 0x3F);
    }
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (value < lead.smallest || value > 0x10FFFF || surrogate) break;
    return {value, lead.bytes};
  }
  return {0, 0};
}

// Controls move the cursor of a terminal or end a line; the marks of writing direction make a line
// read as something else.
bool is_hidden(char32_t value) noexcept {
  return value < 0x20 || (value >= 0x7F && value <= 0x9F) || (value >= 0x200B && value <= 0x200F) ||
         (value >= 0x2028 && value <= 0x202E) || (value >= 0x2066 && value <= 0x2069) ||
         value == 0xFEFF;
}

}  // namespace

void append_escaped(std::string& out, std::string_view text, std::size_t limit) {
  while (!text.empty()) {
    const CodePoint point = decode(text);
    const std::string_view raw = text.substr(0, std::max<std::size_t>(point.bytes, 1));
    std::array<char, 12> escape = {};
    std::string_view piece = raw;
    if (point.bytes == 0) {
      piece = "\\ufffd";
    } else if (is_hidden(point.value)) {
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(point.value));
      piece = escape.data();
    } else if (point.value == '"') {
      piece = "\\\"";
    } else if (point.value == '\\') {
      piece = "\\\\";
    }
    if (out.size() + piece.size() > limit) {
      out.append("…");
      return;
    }
    out.append(piece);
    text.remove_prefix(raw.size());
  }
}

bool is_plain_word(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < 0x7F && c != '"' && c != '=' && c != '\\';
  });
}

}  // namespace v0
}  // namespace cleave
