// SPDX-License-Identifier: MIT
#include "cleave/bin/client/text.h"

#include <doctest/doctest.h>

using namespace cleave;
using namespace cleave::cli;

TEST_CASE("control characters of both sets are escaped and other text is not") {
  CHECK(printable("grün 粘包 ~") == "grün 粘包 ~");
  CHECK(printable("a\x1b[31m\n\x7f") == "a\\x1b[31m\\x0a\\x7f");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");
  CHECK(printable("\xc2\xa0") == "\xc2\xa0");
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
