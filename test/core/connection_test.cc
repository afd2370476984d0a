// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// Replies with the body as it comes.
class Echo final : public Handler {
 public:
  Echo(const Request& request, ReplyToken token)
      : reply_(std::make_shared<Relay>(request.body_size())) {
    std::move(token).ok({}, std::shared_ptr<Source>(reply_));
  }
  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()); }
  void on_end() override { reply_->finish(); }

 private:
  std::shared_ptr<Relay> reply_;
};

// Keeps what a test wants to hold on to.
struct Kept {
  std::vector<ReplyToken> tokens;
  std::vector<CancelReason> cancelled;
  std::vector<std::string> bodies;
  int handlers = 0;
};

// Collects its body and leaves the token to the test.
class Holding final : public Handler {
 public:
  Holding(Kept& kept, ReplyToken token) : kept_(kept) {
    ++kept_.handlers;
    kept_.tokens.push_back(std::move(token));
    kept_.bodies.emplace_back();
    at_ = kept_.bodies.size() - 1;
  }
  ~Holding() override { --kept_.handlers; }
  void on_body(Chunk chunk) override { kept_.bodies[at_] += chunk.bytes(); }
  void on_end() override { kept_.bodies[at_] += "."; }
  void on_cancel(CancelReason reason) override { kept_.cancelled.push_back(reason); }

 private:
  Kept& kept_;
  std::size_t at_;
};

void add_commands(Router& router, Kept& kept) {
  router.add("echo", {.summary = "the body"},
             streaming([](const Request& request, ReplyToken token) {
               return std::make_shared<Echo>(request, std::move(token));
             }));
  router.add(
      "twice", {.summary = "the body, twice", .body_bytes = 10},
      collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<void> {
        reply.set("size", body.size() * 2).append(body).append(body);
        return {};
      }));
  router.add("hold", {.summary = "answers when the test says so"},
             streaming([&kept](const Request&, ReplyToken token) {
               return std::make_shared<Holding>(kept, std::move(token));
             }));
  router.add("keep", {.summary = "keeps its token"},
             later([&kept](const Request&, Buffer body, ReplyToken token) {
               kept.bodies.emplace_back(body.bytes());
               kept.tokens.push_back(std::move(token));
             }));
  router.add("throw", {.summary = "throws"},
             collected([](const Request&, std::string_view) -> Result<Reply> {
               throw std::runtime_error("on purpose");
             }));
  router.add("needs",
             {.summary = "has an argument",
              .arguments = {{.name = "n",
                             .type = Argument::Type::integer,
                             .summary = "a number",
                             .required = true,
                             .min = 1,
                             .max = 9}}},
             collected([](const Request& request, std::string_view) -> Result<Reply> {
               return Reply{Members().set("n", request.integer("n", 1, 9).value()), {}, {}};
             }));
  router.add("oneway",
             {.summary = "is never answered",
              .body_rule = [](const Header& header) -> Result<BodyRule> {
                Result<std::int64_t> size = header.integer("filesize", 0, 1'000'000);
                if (!size) return fail(size.error());
                return BodyRule{static_cast<std::uint64_t>(*size), true};
              }},
             streaming([&kept](const Request&, ReplyToken token) {
               return std::make_shared<Holding>(kept, std::move(token));
             }));
}

struct World {
  Kept kept;
  TestServer test;

  explicit World(ServerOptions options = {})
      : test([this](Router& router, Loop&) { add_commands(router, kept); }, options) {}
  ~World() { kept.tokens.clear(); }  // tokens must not outlive the loop
};

std::string code_of(const std::optional<Frame>& frame) {
  return frame ? frame->text("code") : "no frame";
}

}  // namespace

TEST_CASE("requests without an id are answered in order, in single frames") {
  World world;
  TestPeer peer = world.test.connect();
  peer.wire().send(frame_bytes(R"({"cmd":"echo","data_size":5})", "first") +
                   frame_bytes(R"({"cmd":"twice","data_size":2})", "ab") +
                   frame_bytes(R"({"cmd":"echo"})"));
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].body == "first");
  CHECK(frames[0].ok());
  CHECK(frames[1].body == "abab");
  CHECK(frames[1].number("size") == 4);
  CHECK(frames[2].body.empty());
  CHECK(frames[2].ok());
}

TEST_CASE("the replies of one read leave in one write") {
  World world;
  TestPeer peer = world.test.connect();
  std::string requests;
  for (int i = 0; i < 1'000; ++i) requests += frame_bytes(R"({"cmd":"twice","data_size":1})", "x");
  peer.wire().send(requests);
  world.test.settle();
  CHECK(peer.read_all().size() == 1'000);
  CHECK(peer.wire().writes() == 1);
}

TEST_CASE("the same replies come whatever the pieces in which the requests arrive") {
  const std::string requests =
      frame_bytes(R"({"cmd":"echo","data_size":5})", "first") +
      frame_bytes(R"({"cmd":"twice","id":7,"data_size":2})", "ab") +
      frame_bytes(R"({"cmd":"nothing","data_size":3})", "xyz") +
      frame_bytes(R"({"cmd":"echo","id":8,"data_size":3,"more":true})", "abc") +
      frame_bytes(R"({"id":8,"data_size":2})", "de") +
      frame_bytes(R"({"cmd":"twice","data_size":1})", "z");
  for (std::size_t size = 1; size <= requests.size(); ++size) {
    World world;
    TestPeer peer = world.test.connect();
    peer.wire().send_in_pieces(requests, size);
    for (int i = 0; i < 6; ++i) world.test.settle();
    std::string first, second, third, fourth, fifth;
    for (const Frame& frame : peer.read_all()) {
      if (frame.number("id") == 7) {
        second += frame.body;
      } else if (frame.number("id") == 8) {
        fourth += frame.body;
      } else if (!frame.ok()) {
        third = frame.text("code");
      } else if (first.empty()) {
        first = frame.body;
      } else {
        fifth = frame.body;
      }
    }
    CAPTURE(size);
    CHECK(first == "first");
    CHECK(second == "abab");
    CHECK(third == "unknown_command");
    CHECK(fourth == "abcde");
    CHECK(fifth == "zz");
  }
}

TEST_CASE("behind a request without an id nothing is looked at until it is answered") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","data_size":2})", "ab");
  peer.send(R"({"cmd":"twice","data_size":1})", "x");
  world.test.settle();
  CHECK_FALSE(peer.read());
  CHECK(world.kept.bodies.front() == "ab.");
  std::move(world.kept.tokens.front()).ok(Members().set("late", true));
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].flag("late"));
  CHECK(frames[1].body == "xx");
}

TEST_CASE("requests with ids run concurrently and answer in any order") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep","id":1})");
  peer.send(R"({"cmd":"keep","id":2})");
  peer.send(R"({"cmd":"twice","id":3,"data_size":1})", "x");
  world.test.settle();
  REQUIRE(world.kept.tokens.size() == 2);
  std::move(world.kept.tokens[1]).ok();
  world.test.settle();
  std::move(world.kept.tokens[0]).ok();
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].number("id") == 3);
  CHECK(frames[1].number("id") == 2);
  CHECK(frames[2].number("id") == 1);
}

TEST_CASE(
    "a long reply with an id comes in frames of frame_bytes, of which the last has the status") {
  World world({.limits = {.frame_bytes = 4'096}});
  TestPeer peer = world.test.connect();
  const std::string body(10'000, 'b');
  peer.send(R"({"cmd":"keep","id":1})");
  world.test.settle();
  std::move(world.kept.tokens[0]).ok(Members().set("m", 1), Buffer::copy_of(body));
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].body.size() == 4'096);
  CHECK(frames[0].number("m") == 1);
  CHECK(frames[0].flag("more"));
  CHECK(frames[0].text("status").empty());
  CHECK(frames[2].body.size() == 10'000 - 2 * 4'096);
  CHECK(frames[2].ok());
  CHECK_FALSE(frames[2].flag("more"));
}

TEST_CASE("a refused request costs its own body and nothing else") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"nothing","data_size":4})", "abcd");
  peer.send(R"({"data_size":4})", "abcd");
  peer.send(R"({"cmd":7})");
  peer.send(R"({"cmd":""})");
  peer.send(R"({"cmd":"twice","data_size":11})", "01234567890");
  peer.send(R"({"cmd":"needs"})");
  peer.send(R"({"cmd":"needs","n":"5"})");
  peer.send(R"({"cmd":"needs","n":10})");
  peer.send(R"({"cmd":"twice","timeout_ms":0,"data_size":1})", "x");
  peer.send(R"({"cmd":"needs","n":9})");
  world.test.settle();
  std::vector<std::string> codes;
  for (const Frame& frame : peer.read_all()) codes.push_back(frame.text("code"));
  CHECK(codes == std::vector<std::string>{"unknown_command", "invalid_argument", "invalid_argument",
                                          "invalid_argument", "too_large", "invalid_argument",
                                          "invalid_argument", "invalid_argument",
                                          "invalid_argument", ""});
}

TEST_CASE("a message of several frames is refused once, and dropped up to its last frame") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"nothing","id":4,"data_size":1,"more":true})", "a");
  peer.send(R"({"id":4,"data_size":1,"more":true})", "b");
  peer.send(R"({"cmd":"twice","id":5,"data_size":1})", "x");
  peer.send(R"({"id":4,"data_size":1})", "c");
  peer.send(R"({"cmd":"twice","id":4,"data_size":1})", "y");
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].text("code") == "unknown_command");
  CHECK(frames[1].body == "xx");
  CHECK(frames[2].body == "yy");
}

TEST_CASE(
    "a body over its command's limit that comes in frames is refused when it passes the limit") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"twice","id":4,"data_size":8,"more":true})", "01234567");
  peer.send(R"({"id":4,"data_size":8})", "01234567");
  world.test.settle();
  CHECK(code_of(peer.read()) == "too_large");
}

TEST_CASE("an id in use is a protocol error, and so is a frame of a message that has ended") {
  for (const char* second : {R"({"cmd":"keep","id":1})", R"({"id":1,"data_size":1})"}) {
    World world;
    TestPeer peer = world.test.connect();
    peer.send(R"({"cmd":"keep","id":1})");
    peer.send(second);
    world.test.settle();
    REQUIRE(world.kept.tokens.size() == 1);
    std::move(world.kept.tokens[0]).ok();
    world.test.settle();
    const std::vector<Frame> frames = peer.read_all();
    REQUIRE(frames.size() == 2);
    CHECK(frames[0].ok());
    CHECK(frames[1].text("code") == "protocol_error");
    CHECK(peer.wire().ended());
  }
}

TEST_CASE("a frame without cmd and without a request to belong to is refused") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"id":9,"data_size":1})", "x");
  peer.send(R"({"cmd":"twice","data_size":1})", "x");
  world.test.settle();
  CHECK(code_of(peer.read()) == "invalid_argument");
  CHECK(peer.read()->body == "xx");
}

TEST_CASE("above max_in_flight a request is refused with busy, and the others go on") {
  World world({.limits = {.max_in_flight = 2}});
  TestPeer peer = world.test.connect();
  for (int id = 1; id <= 3; ++id) {
    peer.send("{\"cmd\":\"keep\",\"id\":" + std::to_string(id) + "}");
  }
  world.test.settle();
  const std::optional<Frame> refused = peer.read();
  CHECK(code_of(refused) == "busy");
  CHECK(refused->number("id") == 3);
  for (ReplyToken& token : world.kept.tokens) std::move(token).ok();
  peer.send(R"({"cmd":"twice","id":3,"data_size":1})", "x");
  world.test.settle();
  CHECK(peer.read_all().size() == 3);
}

TEST_CASE("a token dropped unused answers internal") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep"})");
  world.test.settle();
  world.kept.tokens.clear();
  world.test.settle();
  const std::optional<Frame> frame = peer.read();
  CHECK(code_of(frame) == "internal");
  CHECK(frame->text("message") == "the handler gave no reply");
}

TEST_CASE("an exception of a handler becomes internal and harms nobody else") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"throw"})");
  peer.send(R"({"cmd":"twice","data_size":1})", "x");
  world.test.settle();
  const std::optional<Frame> frame = peer.read();
  CHECK(code_of(frame) == "internal");
  CHECK(frame->text("message") == "the handler failed: on purpose");
  CHECK(peer.read()->body == "xx");
}

TEST_CASE("cancel ends a running request with cancelled, also after the end of its body") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1,"data_size":1})", "x");
  peer.send(R"({"cmd":"cancel","id":2,"target":1})");
  world.test.settle();
  CHECK(world.kept.cancelled == std::vector{CancelReason::cancelled});
  std::optional<Frame> frame = peer.read();
  CHECK(frame->number("id") == 2);
  CHECK(frame->ok());
  world.kept.tokens.clear();
  world.test.settle();
  frame = peer.read();
  CHECK(frame->number("id") == 1);
  CHECK(code_of(frame) == "cancelled");
  CHECK(world.kept.handlers == 0);
}

TEST_CASE("cancel of a request that is not running is not_found") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"cancel","id":2,"target":1})");
  peer.send(R"({"cmd":"cancel","target":2})");
  peer.send(R"({"cmd":"cancel"})");
  world.test.settle();
  CHECK(code_of(peer.read()) == "not_found");
  CHECK(code_of(peer.read()) == "not_found");
  CHECK(code_of(peer.read()) == "invalid_argument");
}

TEST_CASE("a deadline cancels the request, and after the grace the framework answers for it") {
  World world({.limits = {.cancel_grace_ms = 2'000}});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","timeout_ms":1000})");
  world.test.settle();
  world.test.advance(Millis(999));
  CHECK(world.kept.cancelled.empty());
  world.test.advance(Millis(1));
  CHECK(world.kept.cancelled == std::vector{CancelReason::deadline});
  CHECK_FALSE(peer.read());
  world.test.advance(Millis(2'000));
  CHECK(code_of(peer.read()) == "deadline_exceeded");
  CHECK(world.kept.handlers == 0);
  // The token that the handler still has does nothing any more.
  std::move(world.kept.tokens.front()).ok();
  world.test.settle();
  CHECK_FALSE(peer.read());
}

TEST_CASE("a half-close is answered: what came before it, then the server's own end") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","data_size":1})", "x");
  peer.send(R"({"cmd":"twice","data_size":1})", "x");
  peer.wire().send_end();
  world.test.settle();
  CHECK_FALSE(peer.wire().ended());
  std::move(world.kept.tokens.front()).ok();
  world.test.settle();
  CHECK(peer.read_all().size() == 2);
  CHECK(peer.wire().closed());
  CHECK_FALSE(peer.wire().was_reset());
}

TEST_CASE("after a half-close an empty frame goes out at once and every second while an id runs") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1})");
  peer.wire().send_end();
  world.test.settle();
  CHECK(peer.read_all().size() == 1);
  world.test.advance(Millis(3'000));
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].number("id") == 1);
  CHECK(frames[0].flag("more"));
  CHECK(frames[0].body.empty());
  std::move(world.kept.tokens.front()).ok();
  world.test.settle();
  CHECK(peer.read()->ok());
  CHECK(peer.wire().closed());
}

TEST_CASE("the end of input is seen while reading is paused by a request without an id") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1})");
  peer.send(R"({"cmd":"hold"})");
  world.test.settle();
  peer.wire().send_end();
  world.test.settle();
  CHECK(peer.read_all().size() == 1);
  peer.wire().reset();
  world.test.settle();
  CHECK(world.kept.cancelled == std::vector{CancelReason::peer_gone, CancelReason::peer_gone});
  CHECK(world.kept.handlers == 0);
}

TEST_CASE("an end of input inside a frame ends the connection without a word") {
  for (std::size_t keep = 1; keep < 30; ++keep) {
    World world;
    TestPeer peer = world.test.connect();
    peer.wire().send(frame_bytes(R"({"cmd":"hold","data_size":9})", "123456789").substr(0, keep));
    peer.wire().send_end();
    world.test.settle();
    CHECK(peer.wire().closed());
    CHECK(peer.wire().received().empty());
    CHECK(world.kept.handlers == 0);
  }
}

TEST_CASE("a reset cancels everything that runs for the connection") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1})");
  peer.send(R"({"cmd":"hold","id":2,"data_size":5})", "ab");
  world.test.settle();
  peer.wire().reset();
  world.test.settle();
  CHECK(world.kept.cancelled == std::vector{CancelReason::peer_gone, CancelReason::peer_gone});
  CHECK(world.kept.handlers == 0);
  CHECK(peer.wire().closed());
  for (ReplyToken& token : world.kept.tokens) CHECK_FALSE(token.wanted());
}

TEST_CASE("a protocol error waits for what runs, is said once, and input is dropped after it") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1})");
  peer.wire().send("GET / HTTP/1.1\r\n\r\n");
  peer.send(R"({"cmd":"twice","data_size":1})", "x");
  world.test.settle();
  CHECK_FALSE(peer.read());
  std::move(world.kept.tokens.front()).ok();
  world.test.settle();
  CHECK(peer.read()->ok());
  const std::optional<Frame> frame = peer.read();
  CHECK(code_of(frame) == "protocol_error");
  CHECK(frame->text("message").find("HTTP") != std::string::npos);
  CHECK_FALSE(peer.read());
  CHECK(peer.wire().ended());
  CHECK_FALSE(peer.wire().closed());
  CHECK(peer.wire().unread() == 0);
  peer.wire().send_end();
  world.test.settle();
  CHECK(peer.wire().closed());
}

TEST_CASE("a protocol error waits at most linger_timeout_ms for what runs, and lingers as long") {
  World world({.limits = {.linger_timeout_ms = 10'000, .cancel_grace_ms = 1'000}});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1})");
  peer.wire().send("\xff\xff\xff\xff");
  world.test.settle();
  world.test.advance(Millis(9'000));
  CHECK(world.kept.cancelled.empty());
  world.test.advance(Millis(1'500));
  CHECK(world.kept.cancelled == std::vector{CancelReason::cancelled});
  world.test.advance(Millis(1'500));
  CHECK(code_of(peer.read()) == "cancelled");
  CHECK(code_of(peer.read()) == "protocol_error");
  world.test.advance(Millis(11'000));
  CHECK(peer.wire().closed());
}

TEST_CASE("a sender is held back by a reader that does not read, and nothing is lost") {
  World world({.limits = {.window_bytes = 1024 * 1024, .output_bytes = 256 * 1024}});
  TestPeer peer = world.test.connect();
  peer.wire().set_room(10'000);
  const std::string body(64 * 1024, 'e');
  const int count = 256;
  peer.send(R"({"cmd":"echo","data_size":16777216})");
  for (int i = 0; i < count; ++i) peer.wire().send(body);
  world.test.settle();
  // Held: what fits in the window and the output, and at most a slab more of each.
  CHECK(peer.wire().unread() > 12 * 1024 * 1024);
  std::string received = peer.wire().take_received();
  CHECK(received.size() == 10'000);
  std::size_t total = received.size();
  for (int i = 0; i < 2'000 && total < 16'777'216; ++i) {
    peer.wire().set_room(100'000);
    for (int turn = 0; turn < 4; ++turn) world.test.loop().step();
    total += peer.wire().take_received().size();
  }
  CHECK(peer.wire().unread() == 0);
  CHECK(total == 16'777'216 + frame_bytes(R"({"data_size":16777216,"status":"ok"})").size());
}

TEST_CASE("replies that a peer does not read stop its requests from being looked at") {
  World world({.limits = {.output_bytes = 64 * 1024}});
  TestPeer peer = world.test.connect();
  peer.wire().set_room(0);
  std::string requests;
  for (int i = 0; i < 1'000; ++i) {
    requests += frame_bytes(R"({"cmd":"twice","data_size":9})", "012345678");
  }
  for (int i = 0; i < 100; ++i) peer.wire().send(requests);
  world.test.settle();
  CHECK(peer.wire().unread() > requests.size() * 90);
  peer.wire().set_room(std::numeric_limits<std::size_t>::max());
  for (int i = 0; i < 40; ++i) world.test.settle();
  CHECK(peer.wire().unread() == 0);
  CHECK(peer.read_all().size() == 100'000);
}

TEST_CASE("output that the system takes byte by byte arrives whole") {
  World world;
  TestPeer peer = world.test.connect();
  peer.wire().set_write_size(1);
  peer.wire().send(frame_bytes(R"({"cmd":"twice","data_size":9})", "012345678") +
                   frame_bytes(R"({"cmd":"echo","data_size":9})", "012345678"));
  for (int i = 0; i < 20; ++i) world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].body == "012345678012345678");
  CHECK(frames[1].body == "012345678");
}

TEST_CASE("a one-way request is never answered, neither its success nor its failure") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"oneway","filesize":3})", "abc");
  peer.send(R"({"cmd":"oneway","filesize":3,"timeout_ms":-1})", "abc");
  peer.send(R"({"cmd":"twice","data_size":1})", "x");
  world.test.settle();
  REQUIRE(world.kept.bodies.size() == 1);
  CHECK(world.kept.bodies[0] == "abc.");
  std::move(world.kept.tokens[0]).ok();
  world.test.settle();
  CHECK(peer.read()->body == "xx");
  CHECK_FALSE(peer.read());
}

TEST_CASE("a one-way request that was wholly received goes on after its connection") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"oneway","filesize":3})", "abc");
  world.test.settle();
  peer.wire().reset();
  world.test.settle();
  CHECK(peer.wire().closed());
  CHECK(world.kept.cancelled.empty());
  CHECK(world.kept.handlers == 1);
  std::move(world.kept.tokens[0]).ok();
  CHECK(world.kept.handlers == 0);
}

TEST_CASE("a one-way request that outlives its connection ends at its time as any other") {
  World world({.limits = {.request_timeout_ms = 10'000}});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"oneway","filesize":0})");
  world.test.settle();
  peer.wire().reset();
  world.test.advance(Millis(9'000));
  CHECK(world.test.server()->connections() == 0);
  CHECK(world.kept.handlers == 1);
  world.test.advance(Millis(2'000));
  CHECK(world.kept.handlers == 0);
  CHECK(world.kept.cancelled == std::vector{CancelReason::peer_gone});
}

TEST_CASE("a drain refuses what is new, finishes what runs, and ends clean") {
  World world;
  TestPeer idle = world.test.connect();
  TestPeer busy = world.test.connect();
  busy.send(R"({"cmd":"hold","id":1})");
  world.test.settle();
  std::optional<bool> clean;
  world.test.server()->drain([&](bool was_clean) { clean = was_clean; });
  world.test.settle();
  CHECK(idle.wire().ended());
  busy.send(R"({"cmd":"twice","id":2,"data_size":1})", "x");
  world.test.settle();
  CHECK(code_of(busy.read()) == "unavailable");
  CHECK_FALSE(clean);
  std::move(world.kept.tokens[0]).ok();
  world.test.settle();
  CHECK(busy.read()->ok());
  world.test.advance(Millis(1'000));
  CHECK(clean == true);
  CHECK(world.test.server()->connections() == 0);
}

TEST_CASE("a drain that takes too long cancels, and then closes") {
  World world({.limits = {.cancel_grace_ms = 1'000, .drain_timeout_ms = 5'000}});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold"})");
  world.test.settle();
  std::optional<bool> clean;
  world.test.server()->drain([&](bool was_clean) { clean = was_clean; });
  world.test.advance(Millis(5'000));
  CHECK(world.kept.cancelled == std::vector{CancelReason::draining});
  world.test.advance(Millis(2'000));
  CHECK(code_of(peer.read()) == "unavailable");
  CHECK(clean == false);
}

TEST_CASE("time limits end connections that do nothing, dawdle, or do not read") {
  World world({.limits = {.header_timeout_ms = 10'000,
                          .idle_timeout_ms = 60'000,
                          .write_stall_timeout_ms = 20'000,
                          .discard_timeout_ms = 5'000}});
  TestPeer idle = world.test.connect();
  TestPeer slow = world.test.connect();
  TestPeer stalled = world.test.connect();
  TestPeer discarded = world.test.connect();
  TestPeer working = world.test.connect();
  slow.wire().send("\x10");
  stalled.wire().set_room(0);
  stalled.send(R"({"cmd":"twice","data_size":1})", "x");
  discarded.send(R"({"cmd":"nothing","data_size":100})", "x");
  working.send(R"({"cmd":"hold"})");
  world.test.settle();
  CHECK(code_of(discarded.read()) == "unknown_command");
  world.test.advance(Millis(5'500));
  CHECK(discarded.wire().closed());
  CHECK_FALSE(slow.wire().ended());
  world.test.advance(Millis(5'000));
  CHECK(code_of(slow.read()) == "protocol_error");
  CHECK_FALSE(stalled.wire().closed());
  world.test.advance(Millis(10'000));
  CHECK(stalled.wire().closed());
  CHECK_FALSE(idle.wire().closed());
  world.test.advance(Millis(40'000));
  CHECK(idle.wire().closed());
  CHECK_FALSE(working.wire().closed());
  CHECK(world.test.server()->connections() == 1);
}

TEST_CASE("over max_connections a connection is told busy and closed") {
  World world({.limits = {.max_connections = 1}});
  TestPeer first = world.test.connect();
  TestPeer second = world.test.connect();
  CHECK(code_of(second.read()) == "busy");
  CHECK(second.wire().closed());
  first.send(R"({"cmd":"twice","data_size":1})", "x");
  world.test.settle();
  CHECK(first.read()->body == "xx");
}

TEST_CASE("a drain does not cut off a reply that a slow reader is still taking") {
  World world;
  TestPeer peer = world.test.connect();
  peer.wire().set_room(1'000);
  const std::string body(300'000, 'd');
  peer.send(R"({"cmd":"keep"})");
  world.test.settle();
  std::move(world.kept.tokens[0]).ok({}, Buffer::copy_of(body));
  world.test.settle();
  std::optional<bool> clean;
  world.test.server()->drain([&](bool was_clean) { clean = was_clean; });
  for (int i = 0; i < 5; ++i) {
    peer.wire().set_room(50'000);
    world.test.advance(Millis(1'000));
    CHECK_FALSE(peer.wire().closed());
  }
  peer.wire().set_room(100'000);
  world.test.advance(Millis(1'000));
  const std::optional<Frame> frame = peer.read();
  REQUIRE(frame);
  CHECK(frame->body == body);
  CHECK(peer.wire().closed());
  CHECK_FALSE(peer.wire().was_reset());
  CHECK(clean == true);
}

TEST_CASE("a peer that never ends what was refused is ended itself, by count and by time") {
  World world({.limits = {.max_in_flight = 4, .discard_timeout_ms = 5'000}});
  TestPeer many = world.test.connect();
  for (int id = 0; id < 20; ++id) many.send("{\"id\":" + std::to_string(id) + ",\"more\":true}");
  TestPeer one = world.test.connect();
  one.send(R"({"cmd":"nothing","id":1,"more":true})");
  world.test.settle();
  std::vector<Frame> frames = many.read_all();
  REQUIRE(frames.size() == 17);
  CHECK(frames.back().text("code") == "protocol_error");
  world.test.advance(Millis(6'000));
  CHECK(one.wire().closed());
}

TEST_CASE("a body that stops coming ends its connection, but not while we do not read") {
  World world({.limits = {.idle_timeout_ms = 10'000, .discard_timeout_ms = 1'000}});
  TestPeer stopped = world.test.connect();
  TestPeer held_up = world.test.connect();
  stopped.send(R"({"cmd":"hold","data_size":100})", "x");
  held_up.send(R"({"cmd":"nothing","id":2,"more":true})");
  held_up.send(R"({"cmd":"keep"})");
  held_up.wire().send("\x10");
  world.test.settle();
  world.test.advance(Millis(9'000));
  CHECK_FALSE(stopped.wire().closed());
  world.test.advance(Millis(2'000));
  CHECK(stopped.wire().closed());
  CHECK(world.kept.cancelled == std::vector{CancelReason::peer_gone});
  CHECK_FALSE(held_up.wire().ended());
}

TEST_CASE("bodies that are gathered at once for one connection have a limit together") {
  World world({.limits = {.collected_body_bytes = 4'096}});
  TestPeer peer = world.test.connect();
  const std::string part(3'000, 'p');
  peer.send(R"({"cmd":"keep","id":1,"data_size":3000,"more":true})", part);
  peer.send(R"({"cmd":"keep","id":2,"data_size":3000,"more":true})", part);
  world.test.settle();
  std::optional<Frame> frame = peer.read();
  CHECK(frame->number("id") == 2);
  CHECK(code_of(frame) == "overloaded");
  // One alone is bounded by its command only, and what it took is given back.
  for (int i = 0; i < 3; ++i) peer.send(R"({"id":1,"data_size":3000,"more":true})", part);
  peer.send(R"({"id":1})");
  peer.send(R"({"id":2})");
  world.test.settle();
  CHECK(world.kept.bodies.at(0).size() == 12'000);
  peer.send(R"({"cmd":"keep","id":3,"data_size":3000,"more":true})", part);
  peer.send(R"({"id":3})");
  world.test.settle();
  CHECK(world.kept.bodies.size() == 2);
}

TEST_CASE("a handler hears no end of a body that was refused on the way") {
  int ends = 0;
  class Counting final : public Handler {
   public:
    Counting(int& ends, ReplyToken token) : ends_(ends), token_(std::move(token)) {}
    void on_body(Chunk) override {}
    void on_end() override { ++ends_; }

   private:
    int& ends_;
    ReplyToken token_;
  };
  TestServer test([&](Router& router, Loop&) {
    router.add("short", {.summary = "takes 4 bytes", .body_bytes = 4},
               streaming([&](const Request&, ReplyToken token) {
                 return std::make_shared<Counting>(ends, std::move(token));
               }));
  });
  TestPeer peer = test.connect();
  peer.wire().send(frame_bytes(R"({"cmd":"short","id":1,"data_size":3,"more":true})", "abc") +
                   frame_bytes(R"({"id":1,"data_size":3})", "def"));
  test.settle();
  CHECK(code_of(peer.read()) == "too_large");
  CHECK(ends == 0);
}

namespace {

// A Source of which the test says what it does when it is asked.
class Scripted final : public Source {
 public:
  Scripted(std::function<Pulled(Scripted&)> pull, std::optional<std::uint64_t> size)
      : pull_(std::move(pull)), size_(size) {}
  Pulled pull(std::size_t) override { return pull_(*this); }
  std::optional<std::uint64_t> size() const override { return size_; }
  using Source::wake;

 private:
  std::function<Pulled(Scripted&)> pull_;
  std::optional<std::uint64_t> size_;
};

struct SourceWorld {
  std::unique_ptr<TestServer> test;
  std::vector<std::shared_ptr<Scripted>> sources;

  explicit SourceWorld(std::function<Source::Pulled(Scripted&)> pull, Members members = {},
                       std::optional<std::uint64_t> size = std::nullopt) {
    test = std::make_unique<TestServer>([=, this](Router& router, Loop&) {
      router.add("make", {.summary = "makes its body"},
                 later([=, this](const Request&, Buffer, ReplyToken token) {
                   sources.push_back(std::make_shared<Scripted>(pull, size));
                   std::move(token).ok(members, std::shared_ptr<Source>(sources.back()));
                 }));
      router.add(
          "ping", {.summary = "answers"},
          collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
    });
  }
};

}  // namespace

TEST_CASE("what a source throws is answered as internal, or resets what cannot be completed") {
  SourceWorld world([](Scripted&) -> Source::Pulled { throw std::runtime_error("no more"); });
  TestPeer peer = world.test->connect();
  for (const char* header : {R"({"cmd":"make","id":1})", R"({"cmd":"make"})"}) {
    peer.send(header);
    world.test->settle();
    const std::optional<Frame> frame = peer.read();
    CHECK(code_of(frame) == "internal");
    CHECK(frame->text("message") == "the body's source failed: no more");
  }
  int calls = 0;
  SourceWorld begun(
      [&](Scripted&) -> Source::Pulled {
        if (calls++ == 0) return Source::Piece{Buffer::copy_of("abc")};
        throw std::runtime_error("no more");
      },
      {}, 10);
  TestPeer cut = begun.test->connect();
  cut.send(R"({"cmd":"make"})");
  begun.test->settle();
  CHECK(cut.wire().was_reset());
}

TEST_CASE("a source that wakes itself and has nothing does not hold the loop") {
  int calls = 0;
  SourceWorld world([&](Scripted& self) -> Source::Pulled {
    if (++calls == 50) return Source::Done{};
    self.wake();
    return Source::Later{};
  });
  TestPeer peer = world.test->connect();
  peer.send(R"({"cmd":"make","id":1})");
  peer.send(R"({"cmd":"ping","id":2})");
  world.test->settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].number("id") == 2);
}

TEST_CASE(
    "a source that always has more is gathered in many turns, and others are answered between") {
  int pulls = 0;
  SourceWorld world([&](Scripted&) -> Source::Pulled {
    if (++pulls == 1'000) return Source::Done{};
    return Source::Piece{Buffer::copy_of("abc")};
  });
  TestPeer peer = world.test->connect();
  peer.send(R"({"cmd":"make"})");
  world.test->loop().step();
  CHECK(pulls > 0);
  CHECK(pulls < 500);
  world.test->settle();
  CHECK(peer.read()->body.size() == 999 * 3);
}

TEST_CASE("a source may destroy its server while it is asked") {
  for (const char* header : {R"({"cmd":"make","id":1})", R"({"cmd":"make"})"}) {
    SourceWorld* world = nullptr;
    SourceWorld made([&](Scripted&) -> Source::Pulled {
      world->test->destroy_server();
      return Source::Piece{Buffer::copy_of("abc")};
    });
    world = &made;
    TestPeer peer = made.test->connect();
    peer.send(header);
    made.test->settle();
    CHECK(peer.wire().closed());
  }
}

TEST_CASE("a reply whose header is too long becomes an error, and its source is let go") {
  SourceWorld world([](Scripted&) -> Source::Pulled { return Source::Done{}; },
                    Members().set("long", std::string(70'000, 'x')));
  TestPeer peer = world.test->connect();
  peer.send(R"({"cmd":"make","id":1})");
  world.test->settle();
  CHECK(code_of(peer.read()) == "internal");
  world.sources.at(0)->wake();
  world.test->settle();
  CHECK_FALSE(peer.read());
}

TEST_CASE("a cancel callback that comes too late is told at once, or not at all") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep","id":1,"timeout_ms":10})");
  peer.send(R"({"cmd":"keep","id":2})");
  world.test.settle();
  world.test.advance(Millis(100));
  int calls = 0;
  world.kept.tokens[0].on_cancel([&](CancelReason reason) {
    CHECK(reason == CancelReason::deadline);
    ++calls;
  });
  world.test.settle();
  CHECK(calls == 1);
  peer.wire().reset();
  world.test.settle();
  world.kept.tokens[1].on_cancel([&](CancelReason) { ++calls; });
  world.test.settle();
  CHECK(calls == 1);
}

TEST_CASE("the server may be destroyed while requests run; tokens then do nothing") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hold","id":1})");
  peer.send(R"({"cmd":"keep","id":2})");
  world.test.settle();
  world.test.destroy_server();
  CHECK(peer.wire().was_reset());
  CHECK(world.kept.handlers == 0);
  REQUIRE(world.kept.tokens.size() == 2);
  for (ReplyToken& token : world.kept.tokens) std::move(token).ok();
}

TEST_CASE("the server may be destroyed when its observer hears that a request was served, once") {
  struct Ender final : Observer {
    void on_served(const Served&) override {
      ++served;
      test->destroy_server();
    }
    TestServer* test = nullptr;
    int served = 0;
  } ender;
  TestServer test(
      [](Router& router, Loop&) {
        router.add("hello", {.summary = "says hello"},
                   collected([](const Request&, std::string_view) -> Result<Reply> {
                     return Reply::text("hello");
                   }));
      },
      {.observer = &ender});
  ender.test = &test;
  TestPeer peer = test.connect();
  peer.send(R"({"cmd":"hello","id":1})");
  test.settle();
  CHECK(ender.served == 1);
  CHECK(peer.wire().closed());
}

TEST_CASE("the server may be destroyed from inside a handler's calls") {
  for (const char* when : {"make", "body", "end"}) {
    std::unique_ptr<TestServer> test;
    class Destroying final : public Handler {
     public:
      Destroying(TestServer& server, std::string_view when, ReplyToken token)
          : server_(server), when_(when), token_(std::move(token)) {
        if (when_ == "make") server_.destroy_server();
      }
      void on_body(Chunk) override {
        if (when_ == "body") server_.destroy_server();
      }
      void on_end() override {
        if (when_ == "end") server_.destroy_server();
      }

     private:
      TestServer& server_;
      std::string_view when_;
      ReplyToken token_;
    };
    test = std::make_unique<TestServer>([&](Router& router, Loop&) {
      router.add("destroy", {.summary = "destroys its server"},
                 streaming([&](const Request&, ReplyToken token) {
                   return std::make_shared<Destroying>(*test, when, std::move(token));
                 }));
    });
    TestPeer peer = test->connect();
    peer.send(R"({"cmd":"destroy","data_size":3})", "abc");
    peer.send(R"({"cmd":"destroy","data_size":3})", "abc");
    test->settle();
    CHECK(peer.wire().closed());
  }
}
