// SPDX-License-Identifier: MIT
#include "cleave/protocol/decoder.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cleave/testing/every_split.h"
#include "cleave/testing/frame_bytes.h"

using namespace cleave;
using namespace cleave::testing;
using namespace std::string_literals;

namespace {

// What a decoder makes of `wire` however it is cut.
std::string decoded(std::string_view wire, const HeaderLimits& limits = {}) {
  const SplitReport report = every_split(wire, [&limits] { return frame_subject(limits); });
  CHECK(report.difference == "");
  return report.whole;
}

// A decoder with its parser, for tests that look at single events.
struct Fixture {
  HeaderParser parser;
  Decoder decoder{parser};

  // The next event's name, with what it holds.
  std::string next(std::string_view& input) {
    const auto event = decoder.next(input);
    if (!event) return "error " + event.error().message;
    if (const auto* head = std::get_if<Decoder::Head>(&*event)) {
      return "head " + std::string(head->header->json());
    }
    if (const auto* body = std::get_if<Decoder::Body>(&*event)) {
      return "body " + std::string(body->bytes) + " " + std::to_string(body->remaining);
    }
    return std::holds_alternative<Decoder::End>(*event) ? "end" : "more";
  }
  std::string next(std::string_view&& input) { return next(input); }
};

const std::string kLengthExpected =
    "error protocol_error: a frame begins with its header's length, 4 bytes, little-endian, from 2 "
    "to 65536 (header_bytes), and ";

}  // namespace

TEST_CASE("frames that stick together are cut apart, wherever the bytes were cut") {
  const std::string wire = frame_bytes(R"({"cmd":"echo","data_size":5})", "hello") +
                           frame_bytes(R"({"cmd":"ping"})") +
                           frame_bytes(R"({"cmd":"upper","data_size":10})", "two\0words"s + '\n');
  CHECK(decoded(wire) ==
        "head {\"cmd\":\"echo\",\"data_size\":5}\nbody hello\nend\n"
        "head {\"cmd\":\"ping\"}\nend\n"
        "head {\"cmd\":\"upper\",\"data_size\":10}\nbody two\0words\n\nend\n"s);
}

TEST_CASE("the end of input is told apart in a length, a header, a body and between frames") {
  const std::string wire = frame_bytes(R"({"data_size":2})", "ab") + frame_bytes("{}");
  const std::string first = "head {\"data_size\":2}\nbody ab\nend\n";
  CHECK(decoded(wire.substr(0, 3)) == "inside a header\n");
  CHECK(decoded(wire.substr(0, 12)) == "inside a header\n");
  CHECK(decoded(wire.substr(0, 19)) == "head {\"data_size\":2}\ninside a body, 2 to come\n");
  CHECK(decoded(wire.substr(0, 20)) ==
        "head {\"data_size\":2}\nbody a\ninside a body, 1 to come\n");
  CHECK(decoded(wire.substr(0, 21)) == first);
  for (std::size_t size = 22; size < wire.size(); ++size) {
    CHECK(decoded(wire.substr(0, size)) == first + "inside a header\n");
  }
  CHECK(decoded(wire) == first + "head {}\nend\n");
}

TEST_CASE("a frame without a body ends at once, also where no further byte comes") {
  Fixture fixture;
  const std::string wire = frame_bytes(R"({"data_size":0})");
  std::string_view input = wire;
  CHECK(fixture.next(input) == "head {\"data_size\":0}");
  CHECK(input.empty());
  CHECK(fixture.decoder.inside_frame());
  CHECK_FALSE(fixture.decoder.inside_header());
  CHECK(fixture.next(input) == "end");
  CHECK_FALSE(fixture.decoder.inside_frame());
  CHECK(fixture.next(input) == "more");
}

TEST_CASE("each call gives one event and leaves the rest of the input") {
  Fixture fixture;
  const std::string wire = frame_bytes(R"({"data_size":3})", "abc") + frame_bytes("{}") + "\x02";
  std::string_view input = wire;
  CHECK(fixture.next(input) == "head {\"data_size\":3}");
  CHECK(input.size() == wire.size() - 19);
  CHECK(fixture.next(input) == "body abc 0");
  CHECK(fixture.next(input) == "end");
  CHECK(input.size() == 7);
  CHECK(fixture.next(input) == "head {}");
  CHECK(fixture.next(input) == "end");
  CHECK(fixture.next(input) == "more");
  CHECK(input.empty());
  CHECK(fixture.decoder.inside_header());
  CHECK(fixture.next(std::string_view("\0\0\0{", 4)) == "more");
  CHECK(fixture.next("}") == "head {}");
}

TEST_CASE("a body's pieces point into the input and say what is still to come") {
  Fixture fixture;
  const std::string wire = frame_bytes(R"({"data_size":6})");
  CHECK(fixture.next(wire) == "head {\"data_size\":6}");
  CHECK(fixture.next("") == "more");
  std::string_view input = "abcd";
  const char* const start = input.data();
  const auto event = fixture.decoder.next(input);
  REQUIRE(event.has_value());
  CHECK(std::get<Decoder::Body>(*event).bytes.data() == start);
  CHECK(std::get<Decoder::Body>(*event).remaining == 2);
  CHECK(fixture.decoder.body_remaining() == 2);
  CHECK(fixture.next(input) == "more");
  input = "efgh";
  CHECK(fixture.next(input) == "body ef 0");
  CHECK(fixture.next(input) == "end");
  CHECK(input == "gh");
}

TEST_CASE("a header's length is taken from 2 to the limit") {
  const HeaderLimits limits{.header_bytes = 40};
  const auto of_size = [](std::size_t size) {
    return "{\"a\":\"" + std::string(size - 8, 'x') + "\"}";
  };
  CHECK(decoded(frame_bytes("{}"), limits) == "head {}\nend\n");
  CHECK(decoded(frame_bytes(of_size(39)), limits) == "head " + of_size(39) + "\nend\n");
  CHECK(decoded(frame_bytes(of_size(40)), limits) == "head " + of_size(40) + "\nend\n");
  CHECK(decoded(frame_bytes(of_size(41)), limits) ==
        "error protocol_error: a frame begins with its header's length, 4 bytes, little-endian, "
        "from 2 to 40 (header_bytes), and 41 came (29 00 00 00)\n");
  CHECK(decoded(length_bytes(0), limits).find("and 0 came (00 00 00 00)\n") != std::string::npos);
  CHECK(decoded(length_bytes(1) + "{", limits).find("and 1 came (01 00 00 00)\n") !=
        std::string::npos);
}

TEST_CASE("the header limit of the wire is taken at 65,536 bytes and refused beyond") {
  Fixture fixture;
  const std::string json = "{\"a\":\"" + std::string(65'536 - 8, 'x') + "\"}";
  CHECK(fixture.next(frame_bytes(json)) == "head " + json);
  CHECK(decoded(length_bytes(65'537)) == kLengthExpected + "65537 came (01 00 01 00)\n");
}

TEST_CASE("impossible lengths are refused from their four bytes alone") {
  CHECK(decoded(length_bytes(0x7FFFFFFF)) == kLengthExpected + "2147483647 came (ff ff ff 7f)\n");
  CHECK(decoded(length_bytes(0x80000000)) ==
        kLengthExpected + "2147483648 came (00 00 00 80); it looks like a big-endian length\n");
  CHECK(decoded(length_bytes(0xFFFFFFFF)) == kLengthExpected + "4294967295 came (ff ff ff ff)\n");
  CHECK(decoded(length_bytes(0xFFFFFFFF) + frame_bytes("{}")) ==
        kLengthExpected + "4294967295 came (ff ff ff ff)\n");
}

TEST_CASE("who speaks another protocol is told which") {
  const auto guess = [](std::string_view bytes) {
    const std::string text = decoded(bytes);
    const std::size_t at = text.find("; ");
    return at == std::string::npos ? text : text.substr(at + 2);
  };
  CHECK(decoded("GET / HTTP/1.1\r\nHost: a\r\n\r\n") ==
        kLengthExpected + "542393671 came (47 45 54 20); it looks like HTTP\n");
  for (const char* line :
       {"POST /", "PUT /a", "HEAD /", "DELETE /", "OPTIONS *", "PATCH /", "CONNECT a:1", "TRACE /",
        "PRI * HTTP/2.0", "HTTP/1.1 400 Bad Request"}) {
    CAPTURE(line);
    CHECK(guess(line) == "it looks like HTTP\n");
  }
  CHECK(guess("\x16\x03\x01\x02\x00\x01\x00"s) == "it looks like TLS\n");
  CHECK(guess("\x16\x03\x01\x00\xF5\x01"s) == "it looks like TLS\n");
  CHECK(guess("\x16\x03\x03\x7A\x00\x01"s) == "it looks like TLS\n");
  CHECK(guess("SSH-2.0-OpenSSH_9.2\r\n") == "it looks like SSH\n");
  CHECK(guess(R"({"cmd":"echo"})") == "it looks like JSON without its length in front\n");
  CHECK(guess("{}\r\n") == "it looks like JSON without its length in front\n");
  CHECK(guess("\0\0\0\x0E{\"cmd\":\"ping\"}"s) == "it looks like a big-endian length\n");
  CHECK(guess("\0\0\x04\x01{"s) == "it looks like a big-endian length\n");
}

TEST_CASE("a bad header ends decoding, and what came before it is delivered") {
  const std::string good = frame_bytes(R"({"data_size":1})", "x");
  const std::string before = "head {\"data_size\":1}\nbody x\nend\n";
  CHECK(decoded(good + frame_bytes("[]") + good) ==
        before +
            "error protocol_error: a header must be one JSON object, and \"[\" at byte 0 came\n");
  CHECK(decoded(good + frame_bytes("{}x") + good) ==
        before +
            "error protocol_error: the header is not strict JSON at byte 2: The document root "
            "must not be followed by other values.\n");
  CHECK(decoded(good + frame_bytes("{}\0"s) + good) ==
        before +
            "error protocol_error: the header's object ends before byte 2 of 3, and a NUL "
            "follows it\n");
  CHECK(decoded(good + frame_bytes(R"({"data_size":"1"})", "x") + good) ==
        before +
            "error protocol_error: \"data_size\" must be an integer from 0 to "
            "9223372036854775807, and the string \"1\" came\n");
  CHECK(decoded(good + frame_bytes(R"({"data_size":0,"data_\u0073ize":1})", "x") + good) ==
        before +
            "error protocol_error: the header has the member \"data_size\" twice in one object "
            "(byte 34)\n");
  CHECK(decoded(good + "garbage") == before + kLengthExpected + "1651663207 came (67 61 72 62)\n");
}

TEST_CASE("after an error every call gives the same one and consumes nothing") {
  Fixture fixture;
  const std::string bad = frame_bytes(R"({"id":-1})");
  const std::string error = fixture.next(bad);
  CHECK(error ==
        "error \"id\" must be an integer from 0 to 9007199254740991, and the number -1 came");
  const std::string good = frame_bytes("{}");
  for (int i = 0; i < 3; ++i) {
    std::string_view input = good;
    CHECK(fixture.next(input) == error);
    CHECK(input.size() == good.size());
    CHECK(fixture.next("") == error);
  }
  CHECK(fixture.decoder.inside_frame());
  CHECK(fixture.decoder.body_remaining() == 0);
}

TEST_CASE("a command may set the size of a body whose header does not name it") {
  const std::string header = R"({"cmd": "put", "filename": "a.txt", "filesize": 5})";
  const auto route = [](const Header& head, Decoder& decoder) {
    const auto size = head.integer("filesize", 0, 1'000);
    if (size && !head.frame().data_size) decoder.set_body_size(static_cast<std::uint64_t>(*size));
  };
  const std::string wire = frame_bytes(header, "hello") + frame_bytes(header, "world") +
                           frame_bytes(R"({"cmd":"put","filesize":0})") + frame_bytes("{}");
  const SplitReport report = every_split(wire, [&] { return frame_subject({}, route); });
  CHECK(report.difference == "");
  CHECK(report.whole == "head " + header + "\nbody hello\nend\nhead " + header +
                            "\nbody world\nend\nhead {\"cmd\":\"put\",\"filesize\":0}\nend\n"
                            "head {}\nend\n");
}

TEST_CASE("a body of more than 4 GiB is counted to its last byte") {
  Fixture fixture;
  constexpr std::uint64_t kSize = 5'000'000'003;
  const std::string head = frame_bytes("{\"data_size\":" + std::to_string(kSize) + "}");
  REQUIRE(fixture.next(head).starts_with("head "));
  const std::string piece(1 << 20, 'x');
  std::uint64_t received = 0;
  while (received + piece.size() <= kSize) {
    std::string_view input = piece;
    const auto event = fixture.decoder.next(input);
    REQUIRE(event.has_value());
    const auto& body = std::get<Decoder::Body>(*event);
    received += body.bytes.size();
    REQUIRE(body.bytes.size() == piece.size());
    REQUIRE(body.remaining == kSize - received);
  }
  const std::string last =
      std::string(static_cast<std::size_t>(kSize - received), 'y') + frame_bytes("{}");
  std::string_view input = last;
  CHECK(fixture.next(input).ends_with("y 0"));
  CHECK(fixture.next(input) == "end");
  CHECK(fixture.next(input) == "head {}");
}

TEST_CASE("the largest body that can be said does not overflow") {
  Fixture fixture;
  REQUIRE(fixture.next(frame_bytes(R"({"data_size":9223372036854775807})")).starts_with("head "));
  CHECK(fixture.decoder.body_remaining() == 9'223'372'036'854'775'807U);
  CHECK(fixture.next("abc") == "body abc 9223372036854775804");
}

TEST_CASE("ten thousand tiny frames in one read are all cut, and the last partial one waits") {
  std::string wire;
  for (int i = 0; i < 10'000; ++i) wire += frame_bytes("{\"id\":" + std::to_string(i) + "}");
  wire += frame_bytes("{}").substr(0, 5);
  Fixture fixture;
  std::string_view input = wire;
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(fixture.next(input) == "head {\"id\":" + std::to_string(i) + "}");
    REQUIRE(fixture.next(input) == "end");
  }
  CHECK(fixture.next(input) == "more");
  CHECK(fixture.decoder.inside_header());
  CHECK(fixture.next("}") == "head {}");
}

TEST_CASE("a limit that changes inside a frame holds from the next frame on") {
  Fixture fixture;
  const std::string frame = frame_bytes(R"({"a":"long enough"})");
  CHECK(fixture.next(std::string_view(frame).substr(0, 10)) == "more");
  fixture.parser.set_limits({.header_bytes = 10});
  CHECK(fixture.next(std::string_view(frame).substr(10)) == "head {\"a\":\"long enough\"}");
  CHECK(fixture.next("") == "end");
  CHECK(fixture.next(frame).starts_with("error a frame begins with"));
}

TEST_CASE("random frames are decoded as they were made, however they are cut") {
  std::mt19937_64 random(20);
  for (int round = 0; round < 5; ++round) {
    std::string wire;
    std::string expected;
    for (int i = 0; i < 6; ++i) {
      const std::string body(random() % 3 == 0 ? 0 : random() % 60, static_cast<char>('a' + i));
      std::string header = "{\"n\":\"" + std::string(random() % 40, 'h') + "\"";
      if (!body.empty()) header += ",\"data_size\":" + std::to_string(body.size());
      header += '}';
      wire += frame_bytes(header, body);
      expected += "head " + header + "\n" + (body.empty() ? "" : "body " + body + "\n") + "end\n";
    }
    CHECK(decoded(wire) == expected);
  }
}

TEST_CASE("random bytes give the same events and the same error, however they are cut") {
  std::mt19937_64 random(30);
  for (int round = 0; round < (CLEAVE_SANITIZED ? 40 : 200); ++round) {
    // Lengths that fit, so that the noise reaches the header as well.
    std::string noise;
    for (std::size_t i = 0; i < 30; ++i) noise += static_cast<char>(random());
    std::string wire = frame_bytes(R"({"data_size":3})", "abc");
    wire += length_bytes(static_cast<std::uint32_t>(random() % 30)) + noise;
    CHECK(decoded(wire).starts_with("head {\"data_size\":3}\nbody abc\nend\n"));
  }
}
