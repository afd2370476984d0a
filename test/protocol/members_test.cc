// SPDX-License-Identifier: MIT
#include "cleave/protocol/members.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "cleave/protocol/header.h"

using namespace cleave;

namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

}  // namespace

TEST_CASE("a JSON string escapes what must be escaped and nothing else") {
  CHECK(json_string("") == R"("")");
  CHECK(json_string("plain / text") == R"("plain / text")");
  CHECK(json_string("a\"b\\c") == R"("a\"b\\c")");
  CHECK(json_string("\n\r\t\b\f\x1b\x7f") == R"("\n\r\t\u0008\u000c\u001b\u007f")");
  CHECK(json_string(std::string_view("\0", 1)) == R"("\u0000")");
  CHECK(json_string("粘包 \U0001F600") == "\"粘包 \U0001F600\"");
}

TEST_CASE("bytes that are not UTF-8 become U+FFFD, one for each") {
  CHECK(json_string("a\xFFz") == "\"a\xEF\xBF\xBDz\"");
  CHECK(json_string("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(json_string("\xE4\xB8") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST_CASE("every byte string that is written can be read again, and UTF-8 comes back as it was") {
  HeaderParser parser;
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; second += 5) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second), 'z'};
      const auto header = parser.parse(Members().set("text", text).object());
      REQUIRE(header.has_value());
      if (first < 128 && second < 128) REQUIRE((*header)->string("text") == text);
    }
  }
}

TEST_CASE("members are written in the order in which they were set") {
  const std::vector<std::string> texts = {"a", "b\"c"};
  const Members object = Members()
                             .set("text", "x")
                             .set("yes", true)
                             .set("no", false)
                             .set("least", std::numeric_limits<std::int64_t>::min())
                             .set("most", std::numeric_limits<std::uint64_t>::max())
                             .set("texts", texts)
                             .set("inner", Members().set("n", 1))
                             .set_raw("raw", "[null]");
  CHECK(object.object() ==
        R"({"text":"x","yes":true,"no":false,"least":-9223372036854775808,)"
        R"("most":18446744073709551615,"texts":["a","b\"c"],"inner":{"n":1},"raw":[null]})");
}

TEST_CASE("no members are an empty object, no texts an empty array") {
  Members members;
  CHECK(members.empty());
  CHECK(members.object() == "{}");
  members.set("texts", std::vector<std::string>());
  CHECK(members.text() == R"("texts":[])");
  members.clear();
  CHECK(members.object() == "{}");
}
