// SPDX-License-Identifier: MIT
#include "cleave/protocol/encoder.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "cleave/protocol/decoder.h"
#include "cleave/protocol/members.h"
#include "cleave/testing/every_split.h"
#include "cleave/testing/frame_bytes.h"

using namespace cleave;
using namespace cleave::testing;
using namespace std::string_literals;

namespace {

std::string encoded(const OutgoingHead& head) {
  std::string out;
  REQUIRE(append_head(out, head).has_value());
  return out;
}

}  // namespace

TEST_CASE("a head is written byte for byte as the wire wants it") {
  CHECK(encoded({}) == "\x02\0\0\0{}"s);
  CHECK(encoded({.cmd = "ping"}) == "\x0E\0\0\0{\"cmd\":\"ping\"}"s);
  CHECK(encoded({.cmd = "echo", .data_size = 5}) == frame_bytes(R"({"cmd":"echo","data_size":5})"));
  CHECK(encoded({.status = "ok"}) == frame_bytes(R"({"status":"ok"})"));
  CHECK(encoded({.id = 0, .more = true}) == frame_bytes(R"({"id":0,"more":true})"));
  CHECK(encoded({.write_data_size = true}) == frame_bytes(R"({"data_size":0})"));
  CHECK(encoded({.members = R"("a":1)"}) == frame_bytes(R"({"a":1})"));
  CHECK(
      encoded({.cmd = "put",
               .id = 9'007'199'254'740'991,
               .more = true,
               .data_size = std::numeric_limits<std::uint64_t>::max(),
               .status = "error",
               .members = R"("filename":"a","n":[1])"}) ==
      frame_bytes(R"({"cmd":"put","id":9007199254740991,"more":true,)"
                  R"("data_size":18446744073709551615,"status":"error","filename":"a","n":[1]})"));
}

TEST_CASE("blanks stand behind the object and count as the header's") {
  CHECK(encoded({.cmd = "ping", .blanks = 3}) == frame_bytes(R"({"cmd":"ping"}   )"));
}

TEST_CASE("a command of any characters is written as a JSON string") {
  CHECK(encoded({.cmd = "a\"b\n"}) == frame_bytes(R"({"cmd":"a\"b\n"})"));
}

TEST_CASE("a head is appended behind what is there") {
  std::string out = "before";
  REQUIRE(append_head(out, {.cmd = "ping"}).has_value());
  CHECK(out == "before" + frame_bytes(R"({"cmd":"ping"})"));
}

TEST_CASE("a header beyond the limit is refused and leaves the output as it was") {
  std::string out = "before";
  const std::string members = Members().set("a", std::string(100, 'x')).object();
  const OutgoingHead head{.members = std::string_view(members).substr(1, members.size() - 2)};
  const auto refused = append_head(out, head, 107);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::too_large);
  CHECK(refused.error().message ==
        "the header would be 108 bytes, and the limit (header_bytes) is 107");
  CHECK(out == "before");
  REQUIRE(append_head(out, head, 108).has_value());
  CHECK(out == "before" + frame_bytes(members));
}

TEST_CASE("the default limit is the one that a decoder has by default") {
  const auto members = [](std::size_t header_size) {
    return "\"a\":\"" + std::string(header_size - 8, 'x') + '"';
  };
  std::string out;
  CHECK(append_head(out, {.members = members(65'536)}).has_value());
  CHECK_FALSE(append_head(out, {.members = members(65'537)}).has_value());
  HeaderParser parser;
  Decoder decoder(parser);
  std::string_view input = out;
  CHECK(std::holds_alternative<Decoder::Head>(*decoder.next(input)));
  CHECK(input.empty());
}

TEST_CASE("what is encoded is decoded to the same, however it is cut") {
  std::string wire;
  std::string expected;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::string body(static_cast<std::size_t>(i * 7), static_cast<char>('a' + i));
    const Members members = Members().set("text", "\"粘\"\n\x01").set("n", i);
    const std::size_t start = wire.size();
    const OutgoingHead head{.cmd = i % 2 == 0 ? "echo" : "",
                            .id = i,
                            .more = i % 3 == 0,
                            .data_size = body.size(),
                            .status = i % 2 == 0 ? "" : "ok",
                            .members = members.text()};
    REQUIRE(append_head(wire, head).has_value());
    expected += "head " + wire.substr(start + 4) + '\n';
    if (!body.empty()) expected += "body " + body + '\n';
    expected += "end\n";
    wire += body;
  }
  const auto check = [](const Header& header, Decoder&) {
    CHECK(header.frame().id == header.find("n")->integer());
    CHECK(header.string("text") == "\"粘\"\n\x01");
  };
  const SplitReport report = every_split(wire, [&] { return frame_subject({}, check); });
  CHECK(report.difference == "");
  CHECK(report.whole == expected);
}

TEST_CASE("an error's members are its code and its message") {
  CHECK(error_members({Errc::not_found, "there is no \"a\""}) ==
        R"("code":"not_found","message":"there is no \"a\"")");
}

TEST_CASE("a message is cut to any size that is asked for, at the edge of a character") {
  const Error error{Errc::busy, "a粘b"};
  const auto cut = [&error](std::size_t size) { return error_members(error, size); };
  for (const std::size_t size : {std::size_t{5}, std::size_t{6}})
    CHECK(cut(size) == R"("code":"busy","message":"a粘b")");
  CHECK(cut(4) == R"("code":"busy","message":"a粘")");
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{3}})
    CHECK(cut(size) == R"("code":"busy","message":"a")");
  CHECK(cut(0) == R"("code":"busy","message":"")");
}

TEST_CASE("a long message is cut at 1,024 bytes, at the edge of a character") {
  const auto message = [](const std::string& text) {
    const std::string members = error_members({Errc::internal, text});
    HeaderParser parser;
    const auto header = parser.parse('{' + members + '}');
    REQUIRE(header.has_value());
    return std::string(*(*header)->string("message"));
  };
  CHECK(message(std::string(1'024, 'x')) == std::string(1'024, 'x'));
  CHECK(message(std::string(1'025, 'x')) == std::string(1'024, 'x'));
  for (const std::string character : {"粘", "é", "\U0001F600"}) {
    for (std::size_t before = 1'018; before <= 1'026; ++before) {
      const std::string text = std::string(before, 'x') + character + "rest of the message";
      const std::string cut = message(text);
      CHECK(text.starts_with(cut));
      CHECK(cut.size() <= 1'024);
      CHECK(cut.size() + character.size() > 1'024);
    }
  }
  CHECK(message(std::string(5'000, '\x80')).size() == std::string("\xEF\xBF\xBD").size() * 1'021);
}

TEST_CASE("the longest error fits the smallest header limit that is useful") {
  const std::string members = error_members({Errc::internal, std::string(5'000, '\x01')});
  std::string out;
  CHECK(
      append_head(out, {.id = 9'007'199'254'740'991, .status = "error", .members = members}, 8'192)
          .has_value());
}
