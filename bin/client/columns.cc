// SPDX-License-Identifier: MIT
#include "cleave/bin/client/columns.h"

#include <algorithm>
#include <cwchar>

namespace cleave::cli {
namespace {

constexpr std::size_t kBetween = 2;  // cells

// Passes on how many cells each character takes.
template <typename Visit>
void each_character(std::string_view text, Visit visit) {
  std::mbstate_t state{};
  while (!text.empty()) {
    wchar_t character = 0;
    std::size_t size = std::mbrtowc(&character, text.data(), text.size(), &state);
    if (size == 0 || size > text.size()) {  // none of this locale
      state = {};
      size = 1;
      visit(std::size_t{1});
    } else {
      visit(static_cast<std::size_t>(std::max(::wcwidth(character), 0)));
    }
    text.remove_prefix(size);
  }
}

}  // namespace

std::size_t cells_of(std::string_view text) {
  std::size_t cells = 0;
  each_character(text, [&](std::size_t width) { cells += width; });
  return cells;
}

std::size_t last_row_of(std::string_view text, std::size_t width) {
  std::size_t row = 0;
  std::size_t column = 0;
  each_character(text, [&](std::size_t cells) {
    if (column + cells > width) {
      ++row;
      column = 0;
    }
    column += cells;
  });
  return row;
}

std::string in_columns(const std::vector<std::string>& words, std::size_t width, std::size_t most) {
  std::size_t longest = 0;
  for (const std::string& word : words) longest = std::max(longest, cells_of(word));
  const std::size_t column = longest + kBetween;
  // The last column needs no blanks, and the last cell stays free, where terminals differ.
  const std::size_t columns = std::max<std::size_t>((width + kBetween - 1) / column, 1);
  const std::size_t lines = (words.size() + columns - 1) / columns;
  std::string text;
  std::size_t shown = 0;
  for (std::size_t line = 0; line < std::min(lines, most); ++line) {
    std::size_t blanks = 0;
    for (std::size_t at = line; at < words.size(); at += lines) {
      text.append(blanks, ' ').append(words[at]);
      blanks = column - cells_of(words[at]);
      ++shown;
    }
    text += '\n';
  }
  if (shown < words.size()) text += "… and " + std::to_string(words.size() - shown) + " more\n";
  return text;
}

}  // namespace cleave::cli
