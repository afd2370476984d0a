// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/protocol/result.h"

namespace cleave::cli {

// Lines as they are typed at the prompt, and the words that they mean.

// Cuts a line into words as a shell does: blanks part them; '…' is taken as it is; "…" and bare
// words know the backslash; a bare ~, alone or before a slash, is what HOME says.
[[nodiscard]] Result<std::vector<std::string>> split_words(std::string_view line);

// The part of a line up to the cursor, which is still being typed: nothing of it is an error.
struct TypedLine {
  std::vector<std::string> words = {};  // that are whole
  std::string word = {};                // at the cursor, as far as it goes; may be empty
  std::size_t begin = 0;                // where that one begins in the line
  char quote = 0;                       // the quote that it is in; 0: none
};
[[nodiscard]] TypedLine read_typed(std::string_view line);

// A word written so that split_words() reads it back. `quote` opens it, and is left open; 0:
// backslashes stand where they have to.
[[nodiscard]] std::string as_typed(std::string_view word, char quote = 0);

}  // namespace cleave::cli
