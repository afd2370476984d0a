// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cleave {
inline namespace v0 {

// Appends `text` to `out` as it may stand between the quotes of a JSON string: quotes, backslashes,
// control characters (C1 and DEL as well) and line separators are escaped, and each byte that is
// not UTF-8 becomes U+FFFD. Where `out` would grow beyond `limit` bytes the text is cut, and "…"
// says so (which may exceed the limit by its own three bytes).
void append_escaped(std::string& out, std::string_view text, std::size_t limit);

// True if `text` needs neither quotes nor escapes: printable ASCII without space, '"', '=' and '\'.
[[nodiscard]] bool is_plain_word(std::string_view text) noexcept;

}  // namespace v0
}  // namespace cleave
