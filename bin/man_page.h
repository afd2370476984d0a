// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cleave/bin/manual.h"

namespace cleave::cli {

// A page for man(1), in the macros of man(7), of the same words as --help.
class ManPage {
 public:
  // The page of a program: its name, its synopsis, and what is told of it.
  explicit ManPage(const Manual& manual);

  void section(std::string_view title);
  void subsection(std::string_view title);
  // As Manual::about.
  void text(std::string_view about);
  void terms(const TermList& list);
  void examples(std::span<const Example> examples);
  // A command of the program, in the section that has begun.
  void command(const Manual& manual, std::span<const TermList> lists);

  [[nodiscard]] const std::string& str() const noexcept { return page_; }

 private:
  void line(std::string_view text);

  std::string page_;
};

// The page of a program that has no commands: everything that --help has.
[[nodiscard]] std::string man_page(const Manual& manual, std::span<const TermList> lists);

}  // namespace cleave::cli
