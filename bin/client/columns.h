// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cleave::cli {

// How many cells of a terminal a text takes, as the locale has it.
[[nodiscard]] std::size_t cells_of(std::string_view text);
// The row in which the last character of a text is, where it begins at the left of row 0 and breaks
// at `width` cells. A wide character is never broken.
[[nodiscard]] std::size_t last_row_of(std::string_view text, std::size_t width);

// Words in columns, read downwards, as ls(1) shows names: lines of less than `width` cells each,
// where a single word is not longer than that. Of more than `most` lines the rest is only counted.
[[nodiscard]] std::string in_columns(const std::vector<std::string>& words, std::size_t width,
                                     std::size_t most);

}  // namespace cleave::cli
