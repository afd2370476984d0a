// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace cleave::cli {

// What can be typed as it stands; a test does so.
struct Example {
  std::string_view line;
  std::string_view meaning;
};

// What is told of a program, or of a command of one, beside its options: the one source of --help
// and of its man page.
struct Manual {
  std::string name;     // "cleave put"
  std::string usage;    // what follows it
  std::string summary;  // a sentence without its full stop, as "stores a file"
  // Paragraphs, parted by empty lines. Each is filled anew, but for those that begin with a blank.
  std::string_view about = {};
  std::span<const Example> examples = {};
};

// Terms with what they mean, as they are shown in two columns.
struct TermList {
  std::string title;
  std::vector<std::pair<std::string, std::string>> terms;
};

// What an app takes, in groups: its arguments, its own options, and then any other group by its
// name.
[[nodiscard]] std::vector<TermList> terms_of(const CLI::App& app);

// Text in lines of at most `width` columns, that begin with `indent` blanks but for the first one.
[[nodiscard]] std::string filled(std::string_view text, std::size_t width, std::size_t indent = 0);
// The lists in two columns, each under its title.
[[nodiscard]] std::string columns(std::span<const TermList> lists, std::size_t width);
// The page of --help.
[[nodiscard]] std::string help_page(const Manual& manual, std::span<const TermList> lists,
                                    std::size_t width);
// As wide as the terminal that is standard output, or else 80 columns.
[[nodiscard]] std::size_t page_width();

}  // namespace cleave::cli
