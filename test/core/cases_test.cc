// SPDX-License-Identifier: MIT
// Bad input and faults, by their numbers in the table of cases in test/README.md: whole servers in
// memory. Whatever the pieces in which the bytes arrive, the answers and the end are the same.
// test/bin/cases_test.py runs them over real sockets.

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// Small enough for every limit to be met by a few bytes, as each byte is one more split.
constexpr Limits kLimits{.header_bytes = 512,
                         .header_depth = 4,
                         .header_values = 8,
                         .header_key_bytes = 16,
                         .max_in_flight = 100};

class Echo final : public Handler {
 public:
  Echo(const Request& request, ReplyToken token, int& handlers)
      : reply_(std::make_shared<Relay>(request.body_size())), handlers_(handlers) {
    ++handlers_;
    std::move(token).ok({}, std::shared_ptr<Source>(reply_));
  }
  ~Echo() override { --handlers_; }
  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()); }
  void on_end() override { reply_->finish(); }

 private:
  std::shared_ptr<Relay> reply_;
  int& handlers_;
};

// Keeps its token until it is let go.
class Holding final : public Handler {
 public:
  Holding(ReplyToken token, int& handlers) : token_(std::move(token)), handlers_(handlers) {
    ++handlers_;
  }
  ~Holding() override { --handlers_; }
  void on_body(Chunk) override {}
  void on_end() override {}

 private:
  ReplyToken token_;
  int& handlers_;
};

struct World {
  int handlers = 0;  // that live
  TestServer test;

  explicit World(const Limits& limits = kLimits)
      : test([this](Router& router, Loop&) { add(router); }, {.limits = limits}) {}

  void add(Router& router) {
    router.add("echo", {.summary = "the body, as it comes"},
               streaming([this](const Request& request, ReplyToken token) {
                 return std::make_shared<Echo>(request, std::move(token), handlers);
               }));
    router.add("hold", {.summary = "never answers"},
               streaming([this](const Request&, ReplyToken token) {
                 return std::make_shared<Holding>(std::move(token), handlers);
               }));
    router.add("whole", {.summary = "the body, gathered", .body_bytes = 10},
               collected([](const Request&, std::string_view body) -> Result<Reply> {
                 return Reply::text(std::string(body));
               }));
  }
};

enum class End { none, half_close, reset };

// What a peer has got: a line for each reply, and one for how its connection is. Of a reply in
// frames it depends on the splits where one ends.
std::string transcript(TestPeer& peer) {
  std::string lines;
  std::string parts;
  for (const Frame& frame : peer.read_all()) {
    parts += frame.body;
    if (frame.flag("more")) continue;
    lines += (frame.ok() ? "ok " + parts : frame.text("code")) + "\n";
    parts.clear();
  }
  if (!parts.empty()) lines += "begun " + parts + "\n";
  const MemoryPeer& wire = peer.wire();
  return lines + (wire.was_reset() ? "reset"
                  : wire.closed()  ? "closed"
                  : wire.ended()   ? "ended"
                                   : "open");
}

struct Case {
  int number;
  std::string name;
  std::string bytes;
  std::string expected;  // the transcript
  End end = End::none;
};

std::string number_of(std::string_view text) {
  return frame_bytes(R"({"cmd":"echo","data_size":)" + std::string(text) + "}");
}

std::string string_of(std::string_view bytes) {
  return frame_bytes(R"({"cmd":"echo","a":")" + std::string(bytes) + "\"}");
}

std::string repeated(std::size_t count, std::string_view text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

// A header of exactly so many bytes.
std::string padded_echo(std::size_t size) {
  const std::string_view empty = R"({"cmd":"echo","pad":""})";
  return frame_bytes(R"({"cmd":"echo","pad":")" + std::string(size - empty.size(), 'x') + "\"}");
}

const std::string kEcho = frame_bytes(R"({"cmd":"echo","data_size":2})", "hi");
const std::string kFatal = "protocol_error\nended";

std::vector<Case> cases() {
  using namespace std::string_literals;
  std::vector<Case> all = {
      {1, "a length of 0", length_bytes(0), kFatal},
      {2, "a length of 1", length_bytes(1) + "{", kFatal},
      {3, "a header of exactly the limit", padded_echo(kLimits.header_bytes), "ok \nopen"},
      {4, "a length over the limit", length_bytes(kLimits.header_bytes + 1), kFatal},
      {5, "the most positive length", length_bytes(0x7FFFFFFF), kFatal},
      {5, "the most negative length", length_bytes(0x80000000), kFatal},
      {5, "a length of ones", length_bytes(0xFFFFFFFF), kFatal},
      {6, "a big-endian length", "\0\0\0\x0E{\"cmd\":\"echo\"}"s, kFatal},
      {7, "HTTP", "GET / HTTP/1.1\r\nHost: here\r\n\r\n", kFatal},
      {7, "TLS", "\x16\x03\x01\x00\xC8\x01\x00\x00\xC4\x03\x03"s, kFatal},
      {7, "SSH", "SSH-2.0-OpenSSH_9.2p1\r\n", kFatal},
      {7, "JSON without a length", R"({"cmd":"echo"})", kFatal},
      {7, "zeros", std::string(100, '\0'), kFatal},
      {8, "three messages",
       kEcho + frame_bytes(R"({"cmd":"whole","data_size":3})", "abc") +
           frame_bytes(R"({"cmd":"echo"})"),
       "ok hi\nok abc\nok \nopen"},
      {8, "messages with ids, and frames of others between their own",
       frame_bytes(R"({"cmd":"whole","id":1,"data_size":1,"more":true})", "a") + kEcho +
           frame_bytes(R"({"cmd":"whole","id":2,"data_size":1})", "c") +
           frame_bytes(R"({"id":1,"data_size":1})", "b"),
       "ok hi\nok c\nok ab\nopen"},
      {9, "64 messages", repeated(64, frame_bytes(R"({"cmd":"whole"})")),
       repeated(64, "ok \n") + "open"},
      {11, "the end inside a length", kEcho + length_bytes(14).substr(0, 3), "ok hi\nclosed",
       End::half_close},
      {11, "the end inside a header", kEcho + length_bytes(14) + "{\"cmd\"", "ok hi\nclosed",
       End::half_close},
      {15, "an empty object", frame_bytes("{}") + kEcho, "invalid_argument\nok hi\nopen"},
      {16, "an array", frame_bytes("[1,2]"), kFatal},
      {16, "a string", frame_bytes("\"ab\""), kFatal},
      {16, "a number", frame_bytes("12"), kFatal},
      {16, "null", frame_bytes("null"), kFatal},
      {16, "blanks", frame_bytes("    "), kFatal},
      {17, "a cmd that is a number", frame_bytes(R"({"cmd":5})") + kEcho,
       "invalid_argument\nok hi\nopen"},
      {17, "an empty cmd", frame_bytes(R"({"cmd":""})") + kEcho, "invalid_argument\nok hi\nopen"},
      {18, "an unknown cmd with a body",
       frame_bytes(R"({"cmd":"nothing","data_size":100})", std::string(100, 'b')) + kEcho,
       "unknown_command\nok hi\nopen"},
      {19, "an unknown cmd with a body of a TiB",
       frame_bytes(R"({"cmd":"nothing","data_size":1099511627776})", "begun"),
       "unknown_command\nopen"},
      {20, "cmd twice", frame_bytes(R"({"cmd":"echo","cmd":"echo"})"), kFatal},
      {20, "data_size twice", frame_bytes(R"({"cmd":"echo","data_size":0,"data_size":0})"), kFatal},
      {20, "an escaped cmd", frame_bytes(R"({"cmd":"echo","\u0063md":"echo"})"), kFatal},
      {20, "an id that is in use",
       frame_bytes(R"({"cmd":"echo","id":1,"more":true})") +
           frame_bytes(R"({"cmd":"echo","id":1})"),
       kFatal},
      {21, "a NUL and garbage", frame_bytes("{\"cmd\":\"echo\"}\0GARBAGE"s), kFatal},
      {21, "two objects", frame_bytes("{}{}"), kFatal},
      {21, "U+0000 in a name", frame_bytes(R"({"a\u0000b":1})"), kFatal},
      {22, "as deep as it may be", frame_bytes(R"({"cmd":"echo","a":[[[]]]})"), "ok \nopen"},
      {22, "one level deeper", frame_bytes(R"({"cmd":"echo","a":[[[[]]]]})"), kFatal},
      {22, "as many brackets as there is room for",
       frame_bytes("{\"a\":" + std::string(kLimits.header_bytes - 5, '[')), kFatal},
      {23, "a number that crashes, in a member that nobody reads",
       frame_bytes(R"({"cmd":"echo","a":0.00000000000001e-2147483639})"), "ok \nopen"},
      {23, "another one",
       frame_bytes(R"({"cmd":"echo","a":128.74836467836484838364836483643636483648e-336})"),
       "ok \nopen"},
      {23, "a number that crashes, as a size", number_of("0.00000000000001e-2147483639"), kFatal},
      {23, "a number of 400 digits", number_of(std::string(400, '9')), kFatal},
      {25, "overlong UTF-8", string_of("\xC0\xAF"), kFatal},
      {25, "a surrogate's bytes", string_of("\xED\xA0\x80"), kFatal},
      {25, "F5", string_of("\xF5\x80\x80\x80"), kFatal},
      {25, "UTF-8 cut short", string_of("\xE7\xB2"), kFatal},
      {25, "a lone low surrogate", string_of("\\udc00"), kFatal},
      {25, "a lone high surrogate", string_of("\\ud83d"), kFatal},
      {26, "a control character", string_of("\x01"), kFatal},
      {26, "a byte order mark", frame_bytes("\xEF\xBB\xBF{}"), kFatal},
      {26, "a comment", frame_bytes(R"({"cmd":"echo"/**/})"), kFatal},
      {26, "a trailing comma", frame_bytes(R"({"cmd":"echo",})"), kFatal},
      {26, "NaN", frame_bytes(R"({"cmd":"echo","a":NaN})"), kFatal},
      {27, "as many values as there may be", frame_bytes(R"({"cmd":"echo","a":[0,0,0,0,0,0]})"),
       "ok \nopen"},
      {27, "one value too many", frame_bytes(R"({"cmd":"echo","a":[0,0,0,0,0,0,0]})"), kFatal},
      {27, "a name over the limit", frame_bytes(R"({"cmd":"echo","12345678901234567":0})"), kFatal},
      {28, "members that nobody knows",
       frame_bytes("{\"cmd\":\"echo\",\"x\":null,\"_y\":[{}],\"\xE7\xB2\x98\":1.5}"), "ok \nopen"},
      {29, "a cmd of control characters", frame_bytes(R"({"cmd":"\n\u001b[2J\u202e"})") + kEcho,
       "unknown_command\nok hi\nopen"},
      {30, "a body of no bytes", frame_bytes(R"({"cmd":"whole","data_size":0})"), "ok \nopen"},
      {31, "the end inside a body", kEcho + frame_bytes(R"({"cmd":"whole","data_size":9})", "half"),
       "ok hi\nclosed", End::half_close},
      {31, "the end inside a body of which a part was answered",
       frame_bytes(R"({"cmd":"echo","id":1,"data_size":9})", "half"), "begun half\nclosed",
       End::half_close},
      {32, "a reset inside a body", frame_bytes(R"({"cmd":"hold","data_size":9})", "half"), "reset",
       End::reset},
      {33, "garbage behind a body", kEcho + "garbage!", "ok hi\n" + kFatal},
      {33, "a request behind a last error", length_bytes(0) + kEcho, kFatal},
      {35, "a body over its command's limit",
       frame_bytes(R"({"cmd":"whole","data_size":11})", "eleven byte") + kEcho,
       "too_large\nok hi\nopen"},
      {35, "a body over its command's limit, in frames",
       frame_bytes(R"({"cmd":"whole","id":1,"data_size":6,"more":true})", "eleven") +
           frame_bytes(R"({"id":1,"data_size":5})", " byte") + kEcho,
       "too_large\nok hi\nopen"},
      {40, "a half-close behind two requests", kEcho + kEcho, "ok hi\nok hi\nclosed",
       End::half_close},
      {41, "a reset before the reply", frame_bytes(R"({"cmd":"hold","id":1})"), "reset",
       End::reset},
  };
  for (const char* number : {"-1", "-0", "1.0", "1e3", "\"5\"", "true", "null", "01", "2.",
                             "9223372036854775808", "18446744073709551616"}) {
    all.push_back({24, std::string("data_size ") + number, number_of(number), kFatal});
  }
  for (const char* number : {"-1", "1.0", "\"x\"", "null", "9007199254740992"}) {
    all.push_back({24, std::string("id ") + number,
                   frame_bytes(R"({"cmd":"echo","id":)" + std::string(number) + "}"), kFatal});
  }
  all.push_back({24, "more without an id", frame_bytes(R"({"cmd":"echo","more":true})"), kFatal});
  return all;
}

// What a case comes to when its bytes arrive in these pieces.
std::string outcome(World& world, const Case& each, const std::vector<std::string_view>& pieces) {
  TestPeer peer = world.test.connect();
  for (const std::string_view piece : pieces) {
    peer.wire().send(piece);
    world.test.settle();  // the server has done what it can before the next one comes
  }
  if (each.end == End::half_close) peer.wire().send_end();
  if (each.end == End::reset) peer.wire().reset();
  world.test.settle();
  std::string result = transcript(peer);
  if (each.end == End::none) peer.wire().reset();
  world.test.settle();
  if (world.test.server()->connections() > 0) result += "\na connection is left";
  if (world.handlers > 0) result += "\na handler is left";
  return result;
}

}  // namespace

TEST_CASE("bad input has the same end however its bytes are split, and leaves nothing behind") {
  for (const Case& each : cases()) {
    const std::string title = std::to_string(each.number) + ": " + each.name;
    CAPTURE(title);
    World world;
    const std::string_view bytes = each.bytes;
    REQUIRE(outcome(world, each, {bytes}) == each.expected);
    const std::size_t step = CLEAVE_SANITIZED ? 3 : 1;  // every one is tried where that is quick
    for (std::size_t at = 1; at < bytes.size(); at += step) {
      CAPTURE(at);
      REQUIRE(outcome(world, each, {bytes.substr(0, at), bytes.substr(at)}) == each.expected);
    }
    std::vector<std::string_view> single;
    for (std::size_t at = 0; at < bytes.size(); ++at) single.push_back(bytes.substr(at, 1));
    REQUIRE(outcome(world, each, single) == each.expected);
    // Whoever comes next is served.
    REQUIRE(outcome(world, {}, {kEcho}) == "ok hi\nopen");
  }
}

TEST_CASE("10: replies that nobody reads stop the reading, and what was held back is not lost") {
  World world({.output_bytes = 64 * 1024});
  TestPeer peer = world.test.connect();
  peer.wire().set_room(0);
  const std::string body(1'000, 'x');
  const std::string request = frame_bytes(R"({"cmd":"echo","data_size":1000})", body);
  std::size_t sent = 0;
  // One request is one read, so those that are not read can be counted.
  for (; sent < 1'000 && peer.wire().unread() == 0; ++sent) {
    peer.wire().send(request);
    world.test.settle();
  }
  CHECK(sent > 60);
  CHECK(sent < 70);
  for (int i = 0; i < 100; ++i) peer.wire().send(request);
  world.test.settle();
  CHECK(peer.wire().unread() > 99 * request.size());
  for (int i = 0; i < 100; ++i) {
    peer.wire().set_room(10'000);
    world.test.settle();
  }
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == sent + 100);
  for (const Frame& frame : frames) CHECK(frame.body == body);
}

TEST_CASE("11, 31, 32: a stream that ends anywhere costs its own last request and nothing else") {
  const std::string body(20, 'b');
  const std::string one = frame_bytes(R"({"cmd":"whole","data_size":5})", "hello");
  const std::string stream =
      one + frame_bytes(R"({"cmd":"hold","id":1,"data_size":20})", body) +
      frame_bytes(R"({"cmd":"whole","id":2,"data_size":3,"more":true})", "abc") +
      frame_bytes(R"({"id":2})") + one;
  World world;
  for (const bool reset : {false, true}) {
    for (std::size_t at = 0; at <= stream.size(); ++at) {
      CAPTURE(reset);
      CAPTURE(at);
      TestPeer peer = world.test.connect();
      peer.wire().send(std::string_view(stream).substr(0, at));
      world.test.settle();
      if (reset) {
        peer.wire().reset();
      } else {
        peer.wire().send_end();
      }
      world.test.settle();
      const std::vector<Frame> frames = peer.read_all();
      if (at >= one.size()) {
        REQUIRE(frames.size() > 0);
        CHECK(frames[0].body == "hello");
      }
      // A request that has come whole runs on behind a half-close; nothing else does.
      const bool running = !reset && world.handlers > 0;
      if (running) {
        CHECK(at >=
              one.size() + frame_bytes(R"({"cmd":"hold","id":1,"data_size":20})", body).size());
        peer.wire().reset();
        world.test.settle();
      }
      CHECK(world.handlers == 0);
      CHECK(world.test.server()->connections() == 0);
      CHECK(peer.wire().closed());
    }
  }
}

TEST_CASE("13: a header that trickles is late at its time limit, counted from its first byte") {
  World world({.header_timeout_ms = 10'000});
  TestPeer peer = world.test.connect();
  const std::string request = frame_bytes(R"({"cmd":"echo"})");
  peer.wire().send(request.substr(0, 1));
  world.test.advance(Millis(9'000));
  peer.wire().send(request.substr(1, 1));
  world.test.settle();
  CHECK(transcript(peer) == "open");
  world.test.advance(Millis(1'500));
  CHECK(transcript(peer) == kFatal);
}

TEST_CASE("42: input behind a last error is dropped until the peer ends, and it reads the error") {
  World world;
  TestPeer peer = world.test.connect();
  peer.wire().send(length_bytes(0));
  for (int i = 0; i < 100; ++i) {
    peer.wire().send(std::string(10'000, 'x'));
    world.test.settle();
    CHECK(peer.wire().unread() == 0);
    CHECK_FALSE(peer.wire().closed());
  }
  CHECK(transcript(peer) == kFatal);
  peer.wire().send_end();
  world.test.settle();
  CHECK(transcript(peer) == "closed");
  CHECK_FALSE(peer.wire().was_reset());
}
