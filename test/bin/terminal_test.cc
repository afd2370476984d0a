// SPDX-License-Identifier: MIT
#include "cleave/bin/client/terminal.h"

#include <doctest/doctest.h>
#include <pty.h>
#include <sys/ioctl.h>

#include "cleave/core/file.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

// Both ends of a terminal.
struct Pair {
  Pair() {
    int here = -1;
    int there = -1;
    REQUIRE(::openpty(&here, &there, nullptr, nullptr, nullptr) == 0);
    controller = Fd(here);
    terminal = Fd(there);
  }
  void resize(unsigned short columns, unsigned short rows) const {
    const winsize window{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(::ioctl(controller.get(), TIOCSWINSZ, &window) == 0);
  }
  Fd controller;
  Fd terminal;
};

TerminalEnvironment environment(const char* term, const char* no_color = "") {
  return {.term = term, .no_color = no_color};
}

}  // namespace

TEST_CASE("there are colours on a terminal that knows them, unless somebody says otherwise") {
  const Pair pair;
  const auto coloured = [&](const TerminalEnvironment& environment, ColorWhen when) {
    return Terminal(pair.terminal.get(), environment).coloured(when);
  };
  CHECK(coloured(environment("xterm"), ColorWhen::automatic));
  CHECK_FALSE(coloured(environment("xterm"), ColorWhen::never));
  CHECK_FALSE(coloured(environment("xterm", "0"), ColorWhen::automatic));
  CHECK_FALSE(coloured(environment("dumb"), ColorWhen::automatic));
  CHECK_FALSE(coloured(environment(""), ColorWhen::automatic));
  CHECK(coloured(environment("dumb", "1"), ColorWhen::always));
  const Terminal none(-1, environment("xterm"));
  CHECK_FALSE(none.coloured(ColorWhen::automatic));
  CHECK(none.coloured(ColorWhen::always));
}

TEST_CASE("a window has the size that it has now, or that of old terminals") {
  const Pair pair;
  const Terminal terminal(pair.terminal.get(), environment("xterm"));
  CHECK(terminal.size().columns == 80);
  CHECK(terminal.size().rows == 24);
  pair.resize(20, 5);
  CHECK(terminal.size().columns == 20);
  CHECK(terminal.size().rows == 5);
  CHECK(Terminal(-1, environment("xterm")).size().columns == 80);
}

TEST_CASE("lines are drawn anew on terminals whose cursor moves") {
  const Pair pair;
  CHECK(Terminal(pair.terminal.get(), environment("xterm")).is_live());
  CHECK_FALSE(Terminal(pair.terminal.get(), environment("dumb")).is_live());
  CHECK(Terminal(pair.terminal.get(), environment("dumb")).is_terminal());
  CHECK_FALSE(Terminal(-1, environment("xterm")).is_live());
}
