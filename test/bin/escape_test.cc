// SPDX-License-Identifier: MIT
#include "cleave/bin/escape.h"

#include <doctest/doctest.h>

#include <string>

namespace {

std::string escaped(std::string_view text, std::size_t limit = 1'000) {
  std::string out;
  cleave::append_escaped(out, text, limit);
  return out;
}

}  // namespace

TEST_CASE("printable text stays as it is, in any script") {
  CHECK(escaped("plain text, 100 %") == "plain text, 100 %");
  CHECK(escaped("größe 数据 🙂") == "größe 数据 🙂");
}

TEST_CASE("what ends a line, a string or drives a terminal is escaped") {
  using namespace std::string_view_literals;
  CHECK(escaped("a\nb\rc\td") == "a\\u000ab\\u000dc\\u0009d");
  CHECK(escaped("\x1b[2J") == "\\u001b[2J");
  CHECK(escaped("\0"sv) == "\\u0000");
  CHECK(escaped("\x7f") == "\\u007f");
  CHECK(escaped("\u0085\u2028\u202e\ufeff") == "\\u0085\\u2028\\u202e\\ufeff");
  CHECK(escaped("say \"hi\" \\") == "say \\\"hi\\\" \\\\");
}

TEST_CASE("each byte that is not UTF-8 becomes a replacement character") {
  CHECK(escaped("\xff") == "\\ufffd");
  CHECK(escaped("a\xc3") == "a\\ufffd");                      // cut short
  CHECK(escaped("\xc0\xaf") == "\\ufffd\\ufffd");             // overlong
  CHECK(escaped("\xed\xa0\x80") == "\\ufffd\\ufffd\\ufffd");  // a surrogate
  CHECK(escaped("\xf4\x90\x80\x80") == "\\ufffd\\ufffd\\ufffd\\ufffd");
  CHECK(escaped("\xc3z") == "\\ufffdz");
}

TEST_CASE("a text that is too long is cut between characters") {
  CHECK(escaped("abcdef", 6) == "abcdef");
  CHECK(escaped("abcdef", 4) == "abcd…");
  CHECK(escaped("äöü", 3) == "ä…");
  CHECK(escaped("a\n", 4) == "a…");
}

TEST_CASE("a plain word is one that needs no quotes") {
  CHECK(cleave::is_plain_word("127.0.0.1:8080"));
  CHECK(cleave::is_plain_word("unknown_command"));
  for (const char* text : {"", "two words", "a=b", "\"", "a\\", "ä", "a\n", "\x7f"}) {
    CHECK_FALSE(cleave::is_plain_word(text));
  }
}
