// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace cleave::cli {

// Words in columns, read downwards, as ls(1) shows names: lines of less than `width` columns each,
// where a single word is not longer than that. Of more than `most` lines the rest is only counted.
[[nodiscard]] std::string in_columns(const std::vector<std::string>& words, std::size_t width,
                                     std::size_t most);

}  // namespace cleave::cli
