// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cleave {
inline namespace v0 {

struct CodePoint {
  char32_t value;
  std::size_t bytes;  // 0: what stands here is not UTF-8
};
// The one that `text`, which is not empty, begins with.
[[nodiscard]] CodePoint first_code_point(std::string_view text) noexcept;

// Not to be shown as it is: control characters move the cursor of a terminal or end a line; the
// marks of writing direction make a line read as something else; others have no width, so that two
// names look the same.
[[nodiscard]] bool is_hidden(char32_t value) noexcept;

// Appends `text` to `out` as it may stand between the quotes of a JSON string: quotes, backslashes
// and what is hidden are escaped, and each byte that is not UTF-8 becomes U+FFFD. Where `out` would
// grow beyond `limit` bytes the text is cut, and "…" says so (which may exceed the limit by its own
// three bytes).
void append_escaped(std::string& out, std::string_view text, std::size_t limit);
// Appends `\u202e`, and two of these for a character beyond U+FFFF.
void append_json_escape(std::string& out, char32_t value);

// True if `text` needs neither quotes nor escapes: printable ASCII without space, '"', '=' and '\'.
[[nodiscard]] bool is_plain_word(std::string_view text) noexcept;

}  // namespace v0
}  // namespace cleave
