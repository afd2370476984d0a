// SPDX-License-Identifier: MIT
#include "cleave/bin/client/text.h"

#include <doctest/doctest.h>

#include <random>

#include "cleave/bin/escape.h"
#include "cleave/protocol/utf8.h"

using namespace cleave;
using namespace cleave::cli;

TEST_CASE("control characters of both sets are escaped and other text is not") {
  CHECK(printable("grün 粘包 ~") == "grün 粘包 ~");
  CHECK(printable("a\x1b[31m\n\x7f") == "a\\x1b[31m\\x0a\\x7f");
  CHECK(printable("\xc2\x9b") == "\\u{9b}");
  CHECK(printable("\xc2\xa0") == "\xc2\xa0");
  CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
}

TEST_CASE(
    "bytes that are no UTF-8 are escaped, as some terminals take them for control characters") {
  CHECK(printable("\x9b"
                  "31m") == "\\x9b31m");
  CHECK(printable("\xe4\xb8") == "\\xe4\\xb8");
  CHECK(printable("\xc0\x9b") == "\\xc0\\x9b");
}

TEST_CASE("what turns a line around, ends it, or has no width is escaped") {
  CHECK(printable("gpj.\u202Eexe") == "gpj.\\u{202e}exe");
  CHECK(printable("\u2066a\u2069\u2028\u2029") == "\\u{2066}a\\u{2069}\\u{2028}\\u{2029}");
  CHECK(printable("a\u200Bb\uFEFF\u00AD\U000E0041") == "a\\u{200b}b\\u{feff}\\u{ad}\\u{e0041}");
  CHECK(json_line("\"\u202E\U000E0041\x9b\"") == R"("\u202e\udb40\udc41\ufffd")");
  HeaderParser parser;
  const auto header = parser.parse(json_line("{\"name\":\"\u202E\U000E0041\"}"));
  CHECK((*header)->string("name").value() == "\u202E\U000E0041");
}

TEST_CASE("whatever is made printable is UTF-8 without anything that is not seen") {
  const auto check = [](std::string_view text) {
    for (const std::string& shown : {printable(text), json_line(text)}) {
      bool good = is_utf8(shown);
      for (std::string_view rest = shown; good && !rest.empty();) {
        const CodePoint point = first_code_point(rest);
        good = !is_hidden(point.value);
        rest.remove_prefix(point.bytes);
      }
      if (!good) FAIL_CHECK("shown: " << shown);
    }
  };
  const unsigned step = CLEAVE_SANITIZED ? 7 : 1;  // every one is tried where that is quick
  for (unsigned pair = 0; pair < 0x10000; pair += step) {
    const char bytes[] = {static_cast<char>(pair >> 8U), static_cast<char>(pair)};
    check({bytes, 2});
  }
  std::mt19937 chance(1);
  for (int round = 0; round < 5'000; ++round) {
    std::string text;
    while (text.size() < 24) {
      // Beginnings and parts of characters, more often than by chance.
      constexpr std::string_view kParts =
          "\xc2\x9b\xe2\x80\xae\xed\xa0\xf3\xa0\x81\xef\xbb\xbf\x1b";
      const auto drawn = chance();
      text += drawn % 2 == 0 ? kParts[drawn / 2 % kParts.size()] : static_cast<char>(drawn >> 8U);
    }
    check(text);
  }
}

TEST_CASE("raw is raw") {
  CHECK(shown("a\x1b", true) == "a\x1b");
  CHECK(shown("a\x1b", false) == "a\\x1b");
}

TEST_CASE("JSON is printed on one line, its value unchanged and its control characters escaped") {
  CHECK(json_line("{\"a\":\n\t\"粘\x7f\xc2\x9b\"}\r\n") == "{\"a\":  \"粘\\u007f\\u009b\"}  ");
  CHECK(json_line("\x1b]0;title\x07") == "\\u001b]0;title\\u0007");
  CHECK(json_line("") == "");
  HeaderParser parser;
  const auto header = parser.parse("{\"name\":\"a\xc2\x9b\"}");
  CHECK(results_json(**header) == R"({"name":"a\u009b"})");
}

TEST_CASE("sizes are shown in the largest unit that leaves a digit before the point") {
  CHECK(human_size(0) == "0 B");
  CHECK(human_size(1023) == "1023 B");
  CHECK(human_size(1024) == "1.0 KiB");
  CHECK(human_size(5.0 * 1024 * 1024 * 1024) == "5.0 GiB");
}

TEST_CASE("the results of a reply are its members without those of the frame") {
  HeaderParser parser;
  const auto header = parser.parse(
      R"({"id":1,"status":"ok","file_size":5,"name":"a\nb","list":[1,{"x":null}],"yes":true})");
  CHECK(results_json(**header) ==
        R"({"file_size":5,"name":"a\nb","list":[1,{"x":null}],"yes":true})");
}
