// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_name.h"

#include <array>
#include <optional>

namespace cleave {
inline namespace v0 {
namespace {

// Takes one character off the front of `text`, which is not empty: its code point, or nothing
// where the bytes are not UTF-8 (an overlong form and half a surrogate pair are not).
std::optional<char32_t> take_character(std::string_view& text) noexcept {
  static constexpr std::array<char32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  const auto byte = [&](std::size_t at) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at]));
  };
  const char32_t lead = byte(0);
  std::size_t size = 0;
  if (lead < 0x80) size = 1;
  if (lead >= 0xC2 && lead < 0xE0) size = 2;
  if (lead >= 0xE0 && lead < 0xF0) size = 3;
  if (lead >= 0xF0 && lead < 0xF5) size = 4;
  if (size == 0 || size > text.size()) return std::nullopt;
  char32_t code = size == 1 ? lead : lead & (0xFFu >> (size + 1));
  for (std::size_t at = 1; at < size; ++at) {
    if ((byte(at) & 0xC0) != 0x80) return std::nullopt;
    code = code << 6 | (byte(at) & 0x3F);
  }
  if (code < kSmallest[size] || code > 0x10FFFF) return std::nullopt;
  if (code >= 0xD800 && code <= 0xDFFF) return std::nullopt;
  text.remove_prefix(size);
  return code;
}

// The rule that a part breaks, as the end of a sentence; empty if it breaks none.
std::string_view broken_rule(std::string_view part) noexcept {
  if (part.empty()) return "an empty part (it is a relative path, without '/' at either end)";
  if (part == "." || part == "..") return "a part '.' or '..'";
  if (part.size() > FileName::kPartBytes) return "a part of more than 255 bytes";
  while (!part.empty()) {
    const std::optional<char32_t> character = take_character(part);
    if (!character) return "bytes that are not UTF-8";
    if (*character < 0x20 || (*character >= 0x7F && *character <= 0x9F)) {
      return "a control character";
    }
    if (*character == U'\\') return "a backslash";
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
  if (text.substr(0, text.find('/')) == kReserved) {
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
