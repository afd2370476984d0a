// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_name.h"

#include <algorithm>
#include <utility>

#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

// `character` is one character of UTF-8. C1 are U+0080 to U+009F: C2 80 to C2 9F.
bool is_control(std::string_view character) noexcept {
  const auto first = static_cast<unsigned char>(character.front());
  const auto last = static_cast<unsigned char>(character.back());
  return first < 0x20 || first == 0x7F || (first == 0xC2 && last < 0xA0);
}

// The rule that a part breaks, as the end of a sentence; empty if it breaks none.
std::string_view broken_rule(std::string_view part) noexcept {
  if (part.empty()) return "an empty part (it is a relative path, without '/' at either end)";
  if (part == "." || part == "..") return "a part '.' or '..'";
  if (part.size() > FileName::kPartBytes) return "a part of more than 255 bytes";
  while (!part.empty()) {
    const std::string_view character = part.substr(0, utf8_character_size(part));
    if (character.empty()) return "bytes that are not UTF-8";
    if (is_control(character)) return "a control character";
    if (character == "\\") return "a backslash";
    part.remove_prefix(character.size());
  }
  return {};
}

}  // namespace

Result<FileName> FileName::parse(std::string_view text) {
  if (text.size() > kBytes) {
    return fail(Errc::invalid_argument,
                "a file name has at most 1,024 bytes, this one has " + std::to_string(text.size()));
  }
  for (std::string_view rest = text;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view rule = broken_rule(rest.substr(0, slash));
    if (!rule.empty()) {
      return fail(Errc::invalid_argument, "the file name has " + std::string(rule));
    }
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  // In any case of letters, as some file systems do not tell them apart.
  const std::string_view top = text.substr(0, text.find('/'));
  const bool reserved =
      std::equal(top.begin(), top.end(), kReserved.begin(), kReserved.end(),
                 [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
  if (reserved) {
    return fail(Errc::invalid_argument, "file names under '.cleave' are the store's own");
  }
  return FileName(std::string(text));
}

bool FileName::is_part(std::string_view part) noexcept {
  return part.find('/') == std::string_view::npos && broken_rule(part).empty();
}

std::string FileName::parent() const {
  const std::size_t slash = text_.rfind('/');
  return slash == std::string::npos ? std::string() : text_.substr(0, slash);
}

std::string FileName::leaf() const {
  return text_.substr(text_.rfind('/') + 1);
}

}  // namespace v0
}  // namespace cleave
