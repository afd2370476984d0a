// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_name.h"

#include <doctest/doctest.h>

using namespace cleave;

namespace {

bool accepted(std::string_view name) {
  const Result<FileName> parsed = FileName::parse(name);
  if (parsed) return parsed->text() == name;
  CHECK(parsed.error().code == Errc::invalid_argument);
  return false;
}

}  // namespace

TEST_CASE("an ordinary relative path is a file name, byte for byte") {
  for (const std::string_view name : {"a",
                                      "a.txt",
                                      "a/b/c.txt",
                                      ".hidden",
                                      "a b",
                                      " ..",
                                      ".. ",
                                      ". .",
                                      "...",
                                      "document..pdf",
                                      "..a",
                                      "a..",
                                      "%2e%2e",
                                      "CON",
                                      "-rf",
                                      "~",
                                      "a:b",
                                      "\xC3\xA9",
                                      "e\xCC\x81",
                                      "\xEF\xBC\x8F",
                                      "\xF0\x9F\x98\x80",
                                      "\xE2\x80\xAE",
                                      "\xE2\x80\x8B",
                                      "a/.cleave",
                                      ".cleaver"}) {
    CAPTURE(name);
    CHECK(accepted(name));
  }
}

TEST_CASE("a name that leaves the root, or might, is refused") {
  for (const std::string_view name :
       {"", ".", "..", "/", "/abs", "a/", "a//b", "a/./b", "a/../b", "../a", "a/..", "./a", "\\",
        "..\\x", "a\\b", "/proc/self/fd/3"}) {
    CAPTURE(name);
    CHECK_FALSE(accepted(name));
  }
}

TEST_CASE("a name with a control character is refused, C0, DEL and C1 alike") {
  for (char32_t code = 0; code <= 0x9F; ++code) {
    if (code == 0x20) code = 0x7F;
    CAPTURE(static_cast<unsigned>(code));
    const std::string character = code < 0x80 ? std::string(1, static_cast<char>(code))
                                              : std::string{'\xC2', static_cast<char>(code)};
    CHECK_FALSE(accepted("a" + character + "b"));
  }
  CHECK(
      accepted("a\xC2\xA0"
               "b"));
}

TEST_CASE("a name that is not UTF-8 is refused") {
  for (const std::string_view name :
       {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\xAF", "\xE2\x82",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\xAF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFF", "a/\xFE/b"}) {
    CAPTURE(name);
    CHECK_FALSE(accepted(name));
  }
}

TEST_CASE("a part has at most 255 bytes and a name at most 1,024") {
  const std::string part(255, 'a');
  CHECK(accepted(part));
  CHECK_FALSE(accepted(part + "a"));
  CHECK_FALSE(accepted("x/" + part + "a/y"));
  const std::string four = part + "/" + part + "/" + part + "/" + part;  // 1,023
  CHECK(accepted(four));
  CHECK(accepted("x/" + four.substr(0, 1022)));
  CHECK_FALSE(accepted("x/" + four.substr(0, 1023)));
  std::string deep = "a";
  while (deep.size() < 1023) deep += "/a";
  CHECK(accepted(deep));
}

TEST_CASE("names under the store's own directory are refused") {
  CHECK_FALSE(accepted(".cleave"));
  CHECK_FALSE(accepted(".Cleave"));
  CHECK_FALSE(accepted(".CLEAVE/tmp/x"));
  CHECK_FALSE(accepted(".cleave/tmp/x"));
  CHECK_FALSE(accepted(".cleave/"));
}

TEST_CASE("a name knows its parent and its last part") {
  CHECK(FileName::parse("a/b/c.txt")->parent() == "a/b");
  CHECK(FileName::parse("a/b/c.txt")->leaf() == "c.txt");
  CHECK(FileName::parse("c.txt")->parent().empty());
  CHECK(FileName::parse("c.txt")->leaf() == "c.txt");
}
