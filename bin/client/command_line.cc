// SPDX-License-Identifier: MIT
#include "cleave/bin/client/command_line.h"

#include <utility>

#include "cleave/bin/client/environment.h"

namespace cleave::cli {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool begins_at_home(std::string_view word) {
  return word == "~" || word.starts_with("~/");
}

// Reads a line character by character.
class WordReader {
 public:
  explicit WordReader(std::string_view line) {
    for (std::size_t i = 0; i < line.size(); ++i) take(line[i], i);
    expand_home();
    if (!inside_) typed_.begin = line.size();
  }

  // The last word counts as being typed, be it empty.
  [[nodiscard]] TypedLine& typed() noexcept { return typed_; }
  [[nodiscard]] bool inside() const noexcept { return inside_; }
  [[nodiscard]] bool escaping() const noexcept { return escaping_; }

 private:
  void take(char c, std::size_t at) {
    if (!std::exchange(inside_, true)) typed_.begin = at;
    char& quote = typed_.quote;
    const bool bare = quote == 0 && !escaping_;
    if (at == typed_.begin) tilde_ = c == '~';
    if (c == '\\' && quote != '\'' && !escaping_) {
      escaping_ = true;
    } else if (quote != 0 && c == quote && !escaping_) {
      quote = 0;
    } else if (bare && (c == '\'' || c == '"')) {
      quote = c;
    } else if (bare && is_blank(c)) {
      inside_ = false;
      expand_home();
      // Blanks alone are no word; '' is one.
      if (typed_.begin != at) typed_.words.push_back(std::exchange(typed_.word, {}));
    } else {
      typed_.word += c;
      escaping_ = false;
    }
  }

  void expand_home() {
    if (!std::exchange(tilde_, false) || !begins_at_home(typed_.word)) return;
    if (const auto home = home_folder()) typed_.word.replace(0, 1, *home);
  }

  TypedLine typed_;
  bool inside_ = false;  // of a word, which may be empty: ''
  bool tilde_ = false;   // the word begins with a bare one
  bool escaping_ = false;
};

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view line) {
  WordReader reader(line);
  TypedLine& typed = reader.typed();
  if (reader.escaping()) return fail(Errc::invalid_argument, "the line ends in a backslash");
  if (typed.quote != 0) {
    return fail(Errc::invalid_argument, std::string("a quote ") + typed.quote + " is not closed");
  }
  if (reader.inside()) typed.words.push_back(std::move(typed.word));
  return std::move(typed.words);
}

TypedLine read_typed(std::string_view line) {
  return std::move(WordReader(line).typed());
}

std::string as_typed(std::string_view word, char quote) {
  std::string out;
  if (quote != 0) out += quote;
  if (quote == 0 && begins_at_home(word)) out += '\\';
  for (const char c : word) {
    const bool in_bare = quote == 0 && (is_blank(c) || c == '\'' || c == '"');
    if (quote == '\'' && c == '\'') {
      out += "'\\'";  // out of the quote and in again
    } else if (in_bare || (quote == '"' && c == '"') || (quote != '\'' && c == '\\')) {
      out += '\\';
    }
    out += c;
  }
  return out;
}

}  // namespace cleave::cli
