// SPDX-License-Identifier: MIT
#include "cleave/bin/client/columns.h"

#include <algorithm>

#include "cleave/bin/client/width.h"

namespace cleave::cli {
namespace {

constexpr std::size_t kBetween = 2;

}  // namespace

std::string in_columns(const std::vector<std::string>& words, std::size_t width, std::size_t most) {
  std::size_t longest = 0;
  for (const std::string& word : words) longest = std::max(longest, width_of(word));
  const std::size_t column = longest + kBetween;
  // The last column needs no blanks, and the last one of the window stays free, where terminals
  // differ.
  const std::size_t count = std::max<std::size_t>((width + kBetween - 1) / column, 1);
  const std::size_t lines = (words.size() + count - 1) / count;
  std::string text;
  std::size_t shown = 0;
  for (std::size_t line = 0; line < std::min(lines, most); ++line) {
    std::size_t blanks = 0;
    for (std::size_t at = line; at < words.size(); at += lines) {
      text.append(blanks, ' ').append(words[at]);
      blanks = column - width_of(words[at]);
      ++shown;
    }
    text += '\n';
  }
  if (shown < words.size()) text += "… and " + std::to_string(words.size() - shown) + " more\n";
  return text;
}

}  // namespace cleave::cli
