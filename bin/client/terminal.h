// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cleave::cli {

enum class ColorWhen : std::uint8_t { automatic, always, never };

// What the environment says of terminals.
struct TerminalEnvironment {
  std::string term;      // TERM
  std::string no_color;  // NO_COLOR
  bool utf8 = false;     // the locale's characters

  [[nodiscard]] static TerminalEnvironment of_process();
  // Its cursor cannot be moved: nothing but text goes there.
  [[nodiscard]] bool dumb() const { return term.empty() || term == "dumb"; }
};

// A descriptor that may be a terminal, and what can be done there.
class Terminal {
 public:
  Terminal(int fd, const TerminalEnvironment& environment);

  [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }
  // It is one on which lines can be drawn anew.
  [[nodiscard]] bool is_live() const noexcept { return is_terminal_ && !dumb_; }
  [[nodiscard]] bool utf8() const noexcept { return utf8_; }
  // NO_COLOR, if it is not empty, is heard where nobody has said anything else.
  [[nodiscard]] bool coloured(ColorWhen when) const noexcept;

  struct Size {
    std::size_t columns;
    std::size_t rows;
  };
  // As it is now; 80 and 24 where that is not known.
  [[nodiscard]] Size size() const;

 private:
  int fd_;
  bool is_terminal_;
  bool dumb_;
  bool no_color_;
  bool utf8_;
};

}  // namespace cleave::cli
