// SPDX-License-Identifier: MIT
#include "cleave/protocol/error.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

using namespace cleave;

TEST_CASE("every code has a name on the wire, is known by it, and stands in the README's table") {
  std::ifstream readme("protocol/README.md");
  REQUIRE_MESSAGE(readme.is_open(), "run the tests from the project's root");
  std::stringstream text;
  text << readme.rdbuf();
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    const auto code = static_cast<Errc>(i);
    const std::string name(to_string(code));
    CHECK(errc_from(name) == code);
    CHECK(text.str().find("\n| `" + name + "` | ") != std::string::npos);
  }
}

TEST_CASE("a name that is no code is known as none") {
  CHECK_FALSE(errc_from("").has_value());
  CHECK_FALSE(errc_from("Internal").has_value());
  CHECK_FALSE(errc_from("internal ").has_value());
}
