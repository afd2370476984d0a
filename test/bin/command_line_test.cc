// SPDX-License-Identifier: MIT
#include "cleave/bin/client/command_line.h"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace cleave;
using namespace cleave::cli;

namespace {

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a line is cut into words at blanks") {
  CHECK(split_words("put a.txt  b\t c\n").value() == Words{"put", "a.txt", "b", "c"});
  CHECK(split_words("").value().empty());
  CHECK(split_words(" \t\r\n").value().empty());
}

TEST_CASE("quotes and backslashes keep blanks inside a word") {
  CHECK(split_words("echo 'a  b' \"c d\" e\\ f").value() == Words{"echo", "a  b", "c d", "e f"});
  CHECK(split_words("a'b'\"c\"d").value() == Words{"abcd"});
  CHECK(split_words("echo ''").value() == Words{"echo", ""});
  CHECK(split_words(R"('a\b' "a\"b" a\'b)").value() == Words{"a\\b", "a\"b", "a'b"});
}

TEST_CASE("a bare ~ is the home, alone and before a slash") {
  const char* const home = std::getenv("HOME");
  const std::string before = home == nullptr ? "" : home;
  ::setenv("HOME", "/h me", 1);
  CHECK(split_words("put ~/a ~ b").value() == Words{"put", "/h me/a", "/h me", "b"});
  CHECK(split_words(R"(~/'a b' ~/c\ d)").value() == Words{"/h me/a b", "/h me/c d"});
  CHECK(split_words(R"(~a a~ a/~/b '~/a' "~" \~/a --body=~/a)").value() ==
        Words{"~a", "a~", "a/~/b", "~/a", "~", "~/a", "--body=~/a"});
  CHECK(read_typed("put ~/a").word == "/h me/a");
  CHECK(read_typed("put ~/a").begin == 4);
  CHECK(read_typed("put ~/a b").words == Words{"put", "/h me/a"});
  for (const char* nowhere : {"", "h"}) {
    ::setenv("HOME", nowhere, 1);
    CHECK(split_words("~/a").value() == Words{"~/a"});
  }
  ::unsetenv("HOME");
  CHECK(split_words("~/a").value() == Words{"~/a"});
  if (home != nullptr) ::setenv("HOME", before.c_str(), 1);
}

TEST_CASE("a quote or a backslash that is left open is an error") {
  CHECK(split_words("echo 'a").error().code == Errc::invalid_argument);
  CHECK(split_words("echo \"a").error().code == Errc::invalid_argument);
  CHECK(split_words("echo a\\").error().code == Errc::invalid_argument);
}

TEST_CASE("of a line that is being typed, the last word is the one at the cursor") {
  TypedLine typed = read_typed("put  'a b' al");
  CHECK(typed.words == Words{"put", "a b"});
  CHECK(typed.word == "al");
  CHECK(typed.begin == 11);
  CHECK(typed.quote == 0);

  typed = read_typed("ls ");
  CHECK(typed.words == Words{"ls"});
  CHECK(typed.word.empty());
  CHECK(typed.begin == 3);

  CHECK(read_typed("").begin == 0);
  CHECK(read_typed("  ").words.empty());
  CHECK(read_typed("a '' b").words == Words{"a", ""});
}

TEST_CASE("a word that is being typed may be in a quote, or end in a backslash") {
  TypedLine typed = read_typed("get 'my al");
  CHECK(typed.word == "my al");
  CHECK(typed.begin == 4);
  CHECK(typed.quote == '\'');
  CHECK(read_typed("get a\\ b").word == "a b");
  CHECK(read_typed("get a\\").word == "a");
  CHECK(read_typed("get a\"b").quote == '"');
}

TEST_CASE("a word that is quoted is read back as it was") {
  const Words words = {"plain",     "a b",         "it's", "say \"hi\"", "back\\slash",
                       "tab\there", "grün粘",      "'",    "\"",         "\\",
                       "' \" \\",   "$HOME `x` *", "~",    "~/a b",      "~a"};
  for (const std::string& word : words) {
    CAPTURE(word);
    CHECK(split_words(as_typed(word)).value() == Words{word});
    CHECK(split_words(as_typed(word, '\'') + "'").value() == Words{word});
    CHECK(split_words(as_typed(word, '"') + "\"").value() == Words{word});
    CHECK(read_typed("get " + as_typed(word)).word == word);
    CHECK(read_typed("get " + as_typed(word, '\'')).word == word);
  }
  CHECK(as_typed("plain") == "plain");
  CHECK(as_typed("a b") == "a\\ b");
}
