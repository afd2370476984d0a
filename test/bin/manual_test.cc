// SPDX-License-Identifier: MIT
#include "cleave/bin/manual.h"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <array>
#include <string>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/nearest.h"
#include "cleave/bin/man_page.h"

using namespace cleave::cli;

TEST_CASE("every command is told of, with an example that begins with its name") {
  for (const Command& command : commands()) {
    const std::string name = "cleave " + std::string(command.name);
    CAPTURE(name);
    CHECK(command.page.topic != "Others");
    REQUIRE_FALSE(command.page.examples.empty());
    for (const Example& example : command.page.examples) {
      const std::string line(example.line);
      CHECK(line.find("cleave ") != std::string::npos);
      CHECK(line.find(" " + std::string(command.name)) != std::string::npos);
      CHECK_FALSE(example.meaning.empty());
    }
  }
}

TEST_CASE("text is filled to a width, and the lines behind the first one are indented") {
  CHECK(filled("one two three", 7) == "one two\nthree");
  CHECK(filled("one two three", 9, 2) == "one two\n  three");
  CHECK(filled("one\n  two", 80) == "one two");
  CHECK(filled("a-word-that-is-longer b", 5) == "a-word-that-is-longer\nb");
  CHECK(filled("", 5) == "");
  // Counted in characters, not in bytes.
  CHECK(filled("äöü ß", 5) == "äöü ß");
}

TEST_CASE("terms stand beside what they mean, and too long ones above it") {
  const std::array lists = {
      TermList{"Title", {{"a", "one two three"}, {std::string(40, 'x'), "y"}}}};
  CHECK(columns(lists, 12) ==
        "Title:\n  a  one two\n     three\n  " + std::string(40, 'x') + "\n     y\n");
}

TEST_CASE("an app's arguments come first, then its options, without what CLI11 thinks of them") {
  CLI::App app("", "x");
  double seconds = 1.5;
  bool flag = false;
  std::string name;
  app.add_option("--timeout", seconds, "How long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.5, 2.0))
      ->capture_default_str();
  app.add_flag("-f,--flag", flag, "A flag")->group("Others");
  app.add_flag("--hidden", flag, "No one")->group("");
  app.add_option("NAME", name, "A name")->required();
  const auto lists = terms_of(app);
  REQUIRE(lists.size() == 3);
  CHECK(lists[0].title == "Arguments");
  CHECK(lists[0].terms == decltype(lists[0].terms){{"NAME", "A name"}});
  CHECK(lists[1].title == "Options");
  CHECK(lists[1].terms.back() ==
        std::pair<std::string, std::string>("    --timeout SECONDS", "How long; default 1.5"));
  CHECK(lists[2].terms == decltype(lists[2].terms){{"-f, --flag", "A flag"}});
}

TEST_CASE("nothing of a text means anything to roff") {
  ManPage page(
      {.name = "a-b", .usage = "", .summary = "it's", .about = ".SH no\n'br\n\n  \\fB a\n  b"});
  CHECK(page.str().find("\n\\&.SH no\n\\(aqbr\n") != std::string::npos);
  CHECK(page.str().find("\n.nf\n  \\efB a\n  b\n.fi\n") != std::string::npos);
  CHECK(page.str().find("\na\\-b \\- it\\(aqs\n") != std::string::npos);
}

TEST_CASE("whoever mistypes a name is told the one that was meant") {
  const std::array<std::string_view, 6> names = {"echo", "exec", "stat", "stats", "verify", "ls"};
  CHECK(nearest("sta", names) == "stat");
  CHECK(nearest("exce", names) == "exec");
  CHECK(nearest("ehco", names) == "echo");
  CHECK(nearest("verfy", names) == "verify");
  CHECK(nearest("statt", names) == "stat");
  CHECK(nearest("stats", names) == "stats");
  CHECK(nearest("xyz", names) == "");
  CHECK(nearest("", names) == "");
  CHECK(nearest("q", names) == "");
  CHECK(nearest(std::string(1'000'000, 'e'), names) == "");
}
