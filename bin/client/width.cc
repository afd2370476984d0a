// SPDX-License-Identifier: MIT
#include "cleave/bin/client/width.h"

#include <clocale>
#include <cwchar>
#include <vector>

namespace cleave::cli {
namespace {

constexpr wchar_t kEmojiPresentation = 0xFE0F;

// The C library's knowledge of characters, in a locale that is the same everywhere.
class Unicode {
 public:
  Unicode() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {}
  ~Unicode() {
    if (locale_ != nullptr) ::freelocale(locale_);
  }
  Unicode(const Unicode&) = delete;
  Unicode& operator=(const Unicode&) = delete;

  [[nodiscard]] locale_t get() const noexcept { return locale_; }

 private:
  locale_t locale_;
};

// Uses it on this thread while it lives.
class InUnicode {
 public:
  InUnicode() {
    static const Unicode unicode;
    before_ = ::uselocale(unicode.get());  // null, where the system has none, changes nothing
  }
  ~InUnicode() { ::uselocale(before_); }
  InUnicode(const InUnicode&) = delete;
  InUnicode& operator=(const InUnicode&) = delete;

 private:
  locale_t before_;
};

// A character with what joins it.
struct Character {
  std::string_view text;
  std::size_t width;
};

std::vector<Character> characters_of(std::string_view text) {
  const InUnicode locale;
  std::vector<Character> found;
  while (!text.empty()) {
    wchar_t character = 0;
    std::mbstate_t state{};
    std::size_t size = std::mbrtowc(&character, text.data(), text.size(), &state);
    int width = 1;
    if (size == 0 || size > text.size()) {
      size = 1;  // no character at all
    } else if (const int known = ::wcwidth(character); known >= 0) {
      width = known;
    }
    if (width == 0 && !found.empty()) {
      Character& last = found.back();
      last.text = {last.text.data(), last.text.size() + size};
      // Terminals do not agree on it; the wider answer is the one that cannot break a line.
      if (character == kEmojiPresentation && last.width == 1) last.width = 2;
    } else {
      found.push_back({text.substr(0, size), static_cast<std::size_t>(width)});
    }
    text.remove_prefix(size);
  }
  return found;
}

std::size_t total_width(const std::vector<Character>& found) {
  std::size_t width = 0;
  for (const Character& character : found) width += character.width;
  return width;
}

}  // namespace

std::size_t width_of(std::string_view text) {
  return total_width(characters_of(text));
}

std::size_t last_row_of(std::string_view text, std::size_t width) {
  std::size_t row = 0;
  std::size_t column = 0;
  for (const Character& character : characters_of(text)) {
    if (column + character.width > width) {
      ++row;
      column = 0;
    }
    column += character.width;
  }
  return row;
}

std::string cut_middle(std::string_view text, std::size_t most, std::string_view mark) {
  const std::vector<Character> found = characters_of(text);
  if (total_width(found) <= most) return std::string(text);
  const std::size_t mark_width = width_of(mark);
  if (mark_width > most) return {};
  // The end has the one more, as it is what tells names in one folder apart.
  const std::size_t room = most - mark_width;
  std::string front;
  std::size_t used = 0;
  for (const Character& character : found) {
    if (used + character.width > room / 2) break;
    used += character.width;
    front += character.text;
  }
  std::size_t first = found.size();
  while (first > 0 && used + found[first - 1].width <= room) used += found[--first].width;
  std::string cut = front + std::string(mark);
  for (; first < found.size(); ++first) cut += found[first].text;
  return cut;
}

std::string in_ascii(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    if (value < 0x80) out += byte;
    if (value >= 0xC0) out += '?';  // the first of a character; the others go
  }
  return out;
}

}  // namespace cleave::cli
