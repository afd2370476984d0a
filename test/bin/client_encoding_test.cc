// SPDX-License-Identifier: MIT
#include "cleave/bin/client/encoding.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "cleave/protocol/utf8.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

// Cut into pieces of `size` bytes, the first of `first`.
std::string converted(std::string_view text, const std::string& from, const std::string& to,
                      std::size_t first, std::size_t size) {
  Transcoder transcoder = Transcoder::create(from, to).value();
  std::string out = transcoder.convert(text.substr(0, first));
  text.remove_prefix(std::min(first, text.size()));
  while (!text.empty()) {
    out += transcoder.convert(text.substr(0, size));
    text.remove_prefix(std::min(size, text.size()));
  }
  return out + transcoder.finish();
}

// The same for every cut in two, and in pieces of every small size.
std::string in_every_way(std::string_view text, const std::string& from,
                         const std::string& to = "UTF-8") {
  std::string whole = converted(text, from, to, text.size(), 1);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    CHECK(converted(text, from, to, cut, text.size()) == whole);
  }
  for (std::size_t size = 1; size < 6; ++size) CHECK(converted(text, from, to, 0, size) == whole);
  return whole;
}

std::string of_utf8(std::string_view text, const std::string& to) {
  return converted(text, "UTF-8", to, text.size(), 1);
}

constexpr std::string_view kChinese = "dir C:\\> 粘包 中文，ok\n数据 end";
constexpr std::string_view kJapanese = "a 日本語 カタカナ z\n表示";

}  // namespace

TEST_CASE("a character that is cut anywhere comes out whole") {
  for (const std::string encoding : {"GBK", "GB18030", "UTF-8", "UTF-16LE", "UTF-16BE", "UTF-16",
                                     "UTF-32", "BIG5-HKSCS", "UTF-7", "ISO-2022-CN"}) {
    CAPTURE(encoding);
    const bool traditional = encoding == "BIG5-HKSCS";
    const std::string_view text = traditional ? "中文 ok\n完" : kChinese;
    CHECK(in_every_way(of_utf8(text, encoding), encoding) == text);
  }
  for (const std::string encoding : {"SHIFT_JIS", "EUC-JP", "ISO-2022-JP", "EUC-JISX0213"}) {
    CAPTURE(encoding);
    const std::string_view text = kJapanese;
    // Where the backslash and the tilde stand for others, there is none of them.
    CHECK(in_every_way(of_utf8(text, encoding), encoding) == text);
  }
  CHECK(in_every_way("gr\xfc\xdf", "ISO-8859-1") == "grüß");
}

TEST_CASE("bytes that are no character are replaced, and it goes on behind them") {
  CHECK(in_every_way("a\xff\xd6\xd0z", "GBK") == "a\uFFFD中z");
  CHECK(in_every_way("\xd6\x20\xd6\xd0", "GBK") == "\uFFFD 中");
  CHECK(in_every_way("a\xff\xc0\xaf\xed\xa0\x80z", "UTF-8") ==
        "a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDz");
  CHECK(in_every_way("a\xe4\xb8z", "UTF-8") == "a\uFFFD\uFFFDz");
  CHECK(in_every_way("a\x81\xad\xfdz", "SHIFT_JIS").ends_with("z"));
  // Half a pair of surrogates is a unit, and the ones behind it keep their place.
  using namespace std::string_view_literals;
  CHECK(in_every_way("\x00\xdc\x2d\x4e"sv, "UTF-16LE") == "\uFFFD中");
  CHECK(in_every_way("\x00\xd8\x2d\x4e"sv, "UTF-16LE") == "\uFFFD中");
  CHECK(in_every_way("\xff\xff\xff\xff\x2d\x4e\x00\x00"sv, "UTF-32LE") == "\uFFFD中");
}

TEST_CASE("a character that the end cuts short is one replacement") {
  CHECK(in_every_way("ok\xd6", "GBK") == "ok\uFFFD");
  CHECK(in_every_way("ok\xf0\x9f\x99", "UTF-8") == "ok\uFFFD");
  CHECK(in_every_way("\x2d\x4e\x2d", "UTF-16LE") == "中\uFFFD");
  CHECK(in_every_way("", "GBK").empty());
}

TEST_CASE("a stateful encoding is brought back to its first state at the end") {
  Transcoder decoder = Transcoder::create("ISO-2022-JP", "UTF-8").value();
  CHECK(decoder.convert("\x1b$BF|") == "日");  // and the shift is never taken back
  CHECK(decoder.finish().empty());
  CHECK(decoder.convert("F|") == "F|");
  Transcoder encoder = Transcoder::create("UTF-8", "ISO-2022-JP").value();
  CHECK(encoder.convert("日") == "\x1b$BF|");
  CHECK(encoder.finish() == "\x1b(B");
  // A letter that an accent may still follow is held back, and comes in the end.
  Transcoder holding = Transcoder::create("BIG5-HKSCS", "UTF-8").value();
  const std::string first = holding.convert("\x88\x66");
  CHECK(first + holding.finish() == "Ê");
}

TEST_CASE("a character that the terminal lacks is a question mark") {
  CHECK(in_every_way("gr\xc3\xbc\xc3\x9f \xe4\xb8\xad!", "UTF-8", "ISO-8859-1") == "gr\xfc\xdf ?!");
  CHECK(in_every_way("a\xff\xd6\xd0", "GBK", "ISO-8859-1") == "a??");
  CHECK(in_every_way("\xd6\xd0\xb9\xfa", "GBK", "SHIFT_JIS").starts_with("\x92\x86"));
}

TEST_CASE("whatever comes, what goes to the terminal is UTF-8, in whatever pieces it came") {
  std::uint64_t seed = 1;
  for (const std::string encoding :
       {"GBK", "GB18030", "UTF-8", "UTF-16", "UTF-32", "SHIFT_JIS", "ISO-2022-JP", "ISO-2022-KR",
        "ISO-2022-CN-EXT", "UTF-7", "EUC-TW", "BIG5-HKSCS", "EUC-JISX0213", "JOHAB", "TSCII",
        "IBM930"}) {
    CAPTURE(encoding);
    for (int round = 0; round < 40; ++round) {
      std::string bytes;
      for (int i = 0; i < 60; ++i) {
        seed = seed * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
        // Escapes and shifts more often than by chance.
        const std::uint64_t top = seed >> 33U;
        bytes += top % 8 == 0 ? "\x1b$()AB\x0e\x0f"[top / 8 % 8] : static_cast<char>(top >> 8U);
      }
      const std::string whole = converted(bytes, encoding, "UTF-8", bytes.size(), 1);
      CHECK(is_utf8(whole));
      // glibc's own decoder forgets its place at the end of a piece, behind bytes that are none.
      if (encoding == "ISO-2022-CN-EXT") continue;
      CHECK(converted(bytes, encoding, "UTF-8", 0, 1) == whole);
    }
  }
}

TEST_CASE("an encoding that the system does not know is refused with its name") {
  for (const char* name : {"klingon", "", "GBK//TRANSLIT", "UTF-8/"}) {
    const auto made = Transcoder::create(name, "UTF-8");
    REQUIRE_FALSE(made);
    CHECK(made.error().code == Errc::invalid_argument);
    CHECK(made.error().message.find("'" + std::string(name) + "'") != std::string::npos);
  }
  CHECK(Transcoder::create("GBK", "klingon").error().message.find("klingon") != std::string::npos);
}
