// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cleave::cli {

// How much room text takes on a terminal. It is UTF-8 whatever the locale is; a byte that is not
// counts as one column, and so does a control character, which printable() has replaced before.

// Wide characters (of CJK, emoji) take two columns, those that join the one before them take none.
[[nodiscard]] std::size_t width_of(std::string_view text);

// The row in which the last character of a text is, where it begins at the left of row 0 and breaks
// at `width` columns. A wide character is never broken.
[[nodiscard]] std::size_t last_row_of(std::string_view text, std::size_t width);

// At most so many columns of it: its beginning and its end, which tell most of a file's name, with
// `mark` between them. No character is cut, nor parted from what joins it.
[[nodiscard]] std::string cut_middle(std::string_view text, std::size_t most,
                                     std::string_view mark);

// With a question mark for each character that is not ASCII, for terminals of another encoding.
[[nodiscard]] std::string in_ascii(std::string_view text);

}  // namespace cleave::cli
