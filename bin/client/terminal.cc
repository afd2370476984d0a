// SPDX-License-Identifier: MIT
#include "cleave/bin/client/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string_view>

#include "cleave/bin/client/environment.h"

namespace cleave::cli {

TerminalEnvironment TerminalEnvironment::of_process() {
  return {.term = environment_variable("TERM").value_or(""),
          .no_color = environment_variable("NO_COLOR").value_or(""),
          .utf8 = std::string_view(::nl_langinfo(CODESET)) == "UTF-8"};
}

Terminal::Terminal(int fd, const TerminalEnvironment& environment)
    : fd_(fd),
      is_terminal_(::isatty(fd) == 1),
      dumb_(environment.dumb()),
      no_color_(!environment.no_color.empty()),
      utf8_(environment.utf8) {}

bool Terminal::coloured(ColorWhen when) const noexcept {
  if (when == ColorWhen::automatic) return is_live() && !no_color_;
  return when == ColorWhen::always;
}

Terminal::Size Terminal::size() const {
  winsize window{};
  if (::ioctl(fd_, TIOCGWINSZ, &window) != 0) window = {};
  return {.columns = window.ws_col == 0 ? std::size_t{80} : window.ws_col,
          .rows = window.ws_row == 0 ? std::size_t{24} : window.ws_row};
}

}  // namespace cleave::cli
