// SPDX-License-Identifier: MIT
#include "cleave/protocol/members.h"

#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

// Appends the escape of a character that may not stand in a JSON string as it is.
void append_escaped(std::string& out, char character) {
  switch (character) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      constexpr char kDigits[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(character);
      out += "\\u00";
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 0xFU];
  }
}

bool is_plain(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return byte >= 0x20 && byte < 0x7F && character != '"' && character != '\\';
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    std::size_t plain = 0;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    out.append(text, 0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;

    const std::size_t size = utf8_character_size(text);
    if (size > 1) {
      out.append(text, 0, size);
    } else if (size == 1) {
      append_escaped(out, text.front());
    } else {
      out += "\xEF\xBF\xBD";  // U+FFFD
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  out += '"';
}

void Members::name(std::string_view name) {
  if (!text_.empty()) text_ += ',';
  text_ += '"';
  text_ += name;
  text_ += "\":";
}

Members& Members::set(std::string_view name, std::string_view text) & {
  this->name(name);
  append_json_string(text_, text);
  return *this;
}

Members& Members::set(std::string_view name, std::span<const std::string> texts) & {
  this->name(name);
  char separator = '[';
  for (const std::string& text : texts) {
    text_ += separator;
    append_json_string(text_, text);
    separator = ',';
  }
  text_ += texts.empty() ? "[]" : "]";
  return *this;
}

Members& Members::set(std::string_view name, const Members& object) & {
  return set_raw(name, object.object());
}

Members& Members::append(const Members& others) & {
  if (!text_.empty() && !others.empty()) text_ += ',';
  text_ += others.text_;
  return *this;
}

Members& Members::set_raw(std::string_view name, std::string_view json) & {
  this->name(name);
  text_ += json;
  return *this;
}

std::string Members::object() const {
  return '{' + text_ + '}';
}

}  // namespace v0
}  // namespace cleave
