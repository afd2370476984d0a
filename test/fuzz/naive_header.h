// SPDX-License-Identifier: MIT
#pragma once
// A header, read as plainly as its rules are written in protocol/README.md: no speed, no memory, no
// word of the parser that it is compared with.

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "cleave/protocol/header.h"

namespace cleave::fuzz {

// A character of Unicode, in UTF-8.
inline void append_character(std::string& out, std::uint32_t code) {
  const int behind = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr std::array<std::uint32_t, 4> kFirst = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kFirst[static_cast<std::size_t>(behind)] | code >> (6 * behind));
  for (int i = behind; i-- > 0;) out += static_cast<char>(0x80U | ((code >> (6 * i)) & 0x3FU));
}

// Whether these bytes are characters: each is decoded, and written again in the one way there is.
inline bool is_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto first = static_cast<unsigned char>(bytes.front());
    const std::size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (bytes.size() < size) return false;
    constexpr std::array<std::uint32_t, 5> kMasks = {0, 0x7F, 0x1F, 0x0F, 0x07};
    std::uint32_t code = first & kMasks[size];
    for (std::size_t i = 1; i < size; ++i) {
      code = code << 6U | (static_cast<unsigned char>(bytes[i]) & 0x3FU);
    }
    std::string again;
    append_character(again, code);
    if ((code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) return false;
    if (again != bytes.substr(0, size)) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

class NaiveHeader {
 public:
  NaiveHeader(std::string_view text, const HeaderLimits& limits) : rest_(text), limits_(limits) {
    blanks();
    good_ = rest_.starts_with('{') && value("", 1);
    blanks();
    good_ = good_ && rest_.empty() && frame_rules();
  }

  // No rule forbids it.
  [[nodiscard]] bool good() const noexcept { return good_; }
  // It has a number near or beyond the edges of a double, of which the rules say nothing.
  [[nodiscard]] bool has_vast_number() const noexcept { return vast_; }
  // A line for each value, in the order of the document: its name, its kind, what it is.
  [[nodiscard]] const std::string& lines() const noexcept { return lines_; }

 private:
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void blanks() {
    while (take(" ") || take("\t") || take("\r") || take("\n")) {
    }
  }
  // How many digits stand here.
  std::size_t digits() {
    std::size_t count = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; ++count) {
      rest_.remove_prefix(1);
    }
    return count;
  }

  bool note(const std::string& name, const std::string& kind, const std::string& text,
            std::uint32_t depth) {
    lines_.append(name).append("=").append(kind).append(" ").append(text).append("\n");
    if (depth == 2) top_[name] = {kind, text};
    return true;
  }

  bool value(const std::string& name, std::uint32_t depth) {
    if (values_++ > limits_.values) return false;  // the root is not counted
    if (rest_.starts_with('{')) return object(name, depth);
    if (rest_.starts_with('[')) return array(name, depth);
    if (rest_.starts_with('"')) {
      std::string text;
      return string(text) && note(name, "a string", text, depth);
    }
    if (take("null")) return note(name, "null", "", depth);
    if (take("true")) return note(name, "a boolean", "true", depth);
    if (take("false")) return note(name, "a boolean", "false", depth);
    return number(name, depth);
  }

  bool array(const std::string& name, std::uint32_t depth) {
    rest_.remove_prefix(1);
    note(name, "an array", "", depth);
    if (depth > limits_.depth) return false;
    blanks();
    if (take("]")) return true;
    do {
      blanks();
      if (!value("", depth + 1)) return false;
      blanks();
    } while (take(","));
    return take("]");
  }

  bool object(const std::string& name, std::uint32_t depth) {
    rest_.remove_prefix(1);
    note(name, "an object", "", depth);
    if (depth > limits_.depth) return false;
    std::set<std::string> names;
    blanks();
    if (take("}")) return true;
    do {
      blanks();
      std::string member;
      if (!rest_.starts_with('"') || !string(member)) return false;
      if (member.size() > limits_.key_bytes || member.find('\0') != std::string::npos) return false;
      if (!names.insert(member).second) return false;
      blanks();
      if (!take(":")) return false;
      blanks();
      if (!value(member, depth + 1)) return false;
      blanks();
    } while (take(","));
    return take("}");
  }

  bool string(std::string& out) {
    rest_.remove_prefix(1);
    while (!take("\"")) {
      if (rest_.empty() || static_cast<unsigned char>(rest_.front()) < 0x20) return false;
      if (take("\\")) {
        if (!escape(out)) return false;
      } else {
        out += rest_.front();
        rest_.remove_prefix(1);
      }
    }
    return is_text(out);
  }

  bool escape(std::string& out) {
    if (take("u")) return unicode(out);
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    const std::size_t at = rest_.empty() ? std::string_view::npos : kLetters.find(rest_.front());
    if (at == std::string_view::npos) return false;
    out += kMeant[at];
    rest_.remove_prefix(1);
    return true;
  }

  bool unicode(std::string& out) {
    std::uint32_t code = 0;
    if (!four_digits(code) || (code >= 0xDC00 && code < 0xE000)) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      std::uint32_t low = 0;
      if (!take("\\u") || !four_digits(low) || low < 0xDC00 || low >= 0xE000) return false;
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    }
    append_character(out, code);
    return true;
  }

  bool four_digits(std::uint32_t& code) {
    constexpr std::string_view kDigits = "0123456789abcdef0123456789ABCDEF";
    for (int i = 0; i < 4; ++i) {
      const std::size_t at = rest_.empty() ? std::string_view::npos : kDigits.find(rest_.front());
      if (at == std::string_view::npos) return false;
      code = code << 4U | static_cast<std::uint32_t>(at % 16);
      rest_.remove_prefix(1);
    }
    return true;
  }

  bool number(const std::string& name, std::uint32_t depth) {
    const std::string_view start = rest_;
    (void)take("-");
    if (!take("0") && digits() == 0) return false;
    if (take(".") && digits() == 0) return false;
    if (take("e") || take("E")) {
      if (!take("+")) (void)take("-");
      const std::size_t size = digits();
      if (size == 0) return false;
      vast_ = vast_ || size > 2;
    }
    const std::string text(start.substr(0, start.size() - rest_.size()));
    vast_ = vast_ || text.size() > 200;
    return note(name, "a number", text, depth);
  }

  // `id`, `data_size` and `more`, which belong to the frame.
  bool frame_rules() {
    const bool id = top_.contains("id");
    if (id && !is_integer_up_to("id", "9007199254740991")) return false;
    if (top_.contains("data_size") && !is_integer_up_to("data_size", "9223372036854775807")) {
      return false;
    }
    return !top_.contains("more") || (id && top_["more"].first == "a boolean");
  }
  bool is_integer_up_to(const std::string& name, const std::string& most) {
    const auto& [kind, text] = top_[name];
    if (kind != "a number" || text.find_first_not_of("0123456789") != std::string::npos) {
      return false;
    }
    return text.size() < most.size() || (text.size() == most.size() && text <= most);
  }

  std::string_view rest_;
  HeaderLimits limits_;
  std::uint32_t values_ = 0;
  bool good_ = false;
  bool vast_ = false;
  std::string lines_;
  std::map<std::string, std::pair<std::string, std::string>> top_;  // the object's own members
};

}  // namespace cleave::fuzz
