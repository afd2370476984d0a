// SPDX-License-Identifier: MIT
// What a server does to peers that take more than their share: of places, of time, of memory, of
// turns of the loop.
#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cleave/core/metrics.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

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

// Takes its body and forgets it.
class Sink final : public Handler {
 public:
  explicit Sink(ReplyToken token) : token_(std::move(token)) {}
  void on_body(Chunk chunk) override { bytes_ += chunk.size(); }
  void on_end() override { std::move(token_).ok(Members().set("bytes", bytes_)); }

 private:
  ReplyToken token_;
  std::uint64_t bytes_ = 0;
};

// Keeps its body.
class Hoard final : public Handler {
 public:
  explicit Hoard(ReplyToken token) : token_(std::move(token)) {}
  void on_body(Chunk chunk) override { kept_.push_back(std::move(chunk).keep()); }
  void on_end() override {}

 private:
  ReplyToken token_;
  std::deque<Buffer> kept_;
};

// Says that it will go on, and never does.
class Silent final : public Source {
 public:
  Pulled pull(std::size_t) override { return Later{}; }
};

// Always has more.
class Endless final : public Source {
 public:
  Pulled pull(std::size_t) override { return Piece{Buffer::own(std::string(64 * kKiB, 'm'))}; }
};

struct World {
  std::deque<ReplyToken> tokens;
  int counted = 0;  // calls of `count`
  Metrics metrics;
  TestServer test;

  explicit World(const Limits& limits = {})
      : test([this](Router& router, Loop&) { add(router); },
             {.limits = limits, .observer = &metrics}) {}
  ~World() { tokens.clear(); }  // they must not outlive the loop

  void add(Router& router) {
    router.add("echo", {.summary = "the body"},
               streaming([](const Request& request, ReplyToken token) {
                 return std::make_shared<Echo>(request, std::move(token));
               }));
    router.add("sink", {.summary = "how much came"},
               streaming([](const Request&, ReplyToken token) {
                 return std::make_shared<Sink>(std::move(token));
               }));
    router.add("hoard", {.summary = "keeps the body"},
               streaming([](const Request&, ReplyToken token) {
                 return std::make_shared<Hoard>(std::move(token));
               }));
    router.add("gather", {.summary = "the size of the body"},
               collected([](const Request&, std::string_view body) -> Result<Reply> {
                 return Reply{Members().set("size", body.size()), {}, {}};
               }));
    router.add("count", {.summary = "that it was called"},
               collected([this](const Request&, std::string_view) -> Result<Reply> {
                 return Reply{Members().set("n", ++counted), {}, {}};
               }));
    router.add("large", {.summary = "a mebibyte"},
               collected([](const Request&, std::string_view) -> Result<Reply> {
                 return Reply::text(std::string(kMiB, 'l'));
               }));
    router.add("keep", {.summary = "answers when the test says so"},
               later([this](const Request&, Buffer, ReplyToken token) {
                 tokens.push_back(std::move(token));
               }));
    router.add("endless", {.summary = "has a body without an end"},
               collected([](const Request&, std::string_view) -> Result<Reply> {
                 return Reply{{}, std::shared_ptr<Source>(std::make_shared<Endless>()), {}};
               }));
    router.add("silent", {.summary = "has a body that does not come"},
               collected([](const Request&, std::string_view) -> Result<Reply> {
                 return Reply{{}, std::shared_ptr<Source>(std::make_shared<Silent>()), {}};
               }));
    router.add(
        "ping", {.summary = "lives", .takes_body = false, .while_draining = true},
        collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
  }

  // A peer that does not read so many replies of a mebibyte each.
  [[nodiscard]] TestPeer unread_replies(int count) {
    TestPeer peer = test.connect();
    peer.wire().set_room(0);
    for (int id = 0; id < count; ++id) {
      peer.send("{\"cmd\":\"keep\",\"id\":" + std::to_string(id) + "}");
    }
    test.settle();
    for (ReplyToken& token : tokens) {
      std::move(token).ok({}, Buffer::own(std::string(kMiB, 'r')));
    }
    tokens.clear();
    test.settle();
    return peer;
  }
  // How often a limit was met.
  [[nodiscard]] std::int64_t met(const std::string& limit) {
    HeaderParser parser;
    const Ref<const Header> stats = parser.parse(metrics.members().object()).value();
    const std::optional<Value> count = stats->find("limits")->find(limit);
    return count ? count->integer().value() : 0;
  }
  [[nodiscard]] std::uint64_t memory() { return test.server()->memory(); }
  [[nodiscard]] TestPeer from(const std::string& address) { return test.connect({}, address); }
};

std::string code_of(const std::optional<Frame>& frame) {
  return frame ? frame->text("code") : "no frame";
}

// Asks for an echo, and takes so many turns of the loop for it; 0 if it does not come.
int turns_until_echo(World& world, TestPeer& peer, int patience = 3) {
  peer.send(R"({"cmd":"echo","data_size":2})", "hi");
  for (int turn = 1; turn <= patience; ++turn) {
    world.test.loop().step();
    if (const std::optional<Frame> frame = peer.read(); frame && frame->body == "hi") return turn;
  }
  return 0;
}

}  // namespace

// ---- Places -------------------------------------------------------------------------------------

TEST_CASE("one address has so many connections, and others have theirs") {
  World world({.max_connections_per_address = 2});
  TestPeer first = world.from("192.0.2.1:1000");
  TestPeer second = world.from("192.0.2.1:1001");
  TestPeer third = world.from("192.0.2.1:1002");
  TestPeer other = world.from("192.0.2.2:1000");
  const std::optional<Frame> told = third.read();
  CHECK(code_of(told) == "busy");
  CHECK(told->text("message").find("max_connections_per_address") != std::string::npos);
  CHECK(third.wire().closed());
  CHECK(world.met("max_connections_per_address") == 1);
  CHECK(turns_until_echo(world, second) > 0);
  CHECK(turns_until_echo(world, other) > 0);
  // A place that was left can be had again.
  first.wire().send_end();
  world.test.settle();
  CHECK(first.wire().closed());
  TestPeer again = world.from("192.0.2.1:1003");
  CHECK(turns_until_echo(world, again) > 0);
}

TEST_CASE("a customer's IPv6 addresses are one, and loopback has a limit of its own") {
  World world({.max_connections_per_address = 1, .max_connections_per_loopback_address = 2});
  TestPeer first = world.from("[2001:db8:0:1::1]:1");
  TestPeer second = world.from("[2001:db8:0:1::2]:1");
  CHECK(code_of(second.read()) == "busy");
  TestPeer local = world.from("127.0.0.1:1");
  TestPeer local_too = world.from("127.0.0.1:2");
  TestPeer too_many = world.from("127.0.0.1:3");
  CHECK(turns_until_echo(world, local_too) > 0);
  CHECK(code_of(too_many.read()) == "busy");
  CHECK(world.met("max_connections_per_loopback_address") == 1);
  // Local sockets have no address.
  TestPeer without = world.from("unix");
  TestPeer without_too = world.from("unix");
  CHECK(turns_until_echo(world, without_too) > 0);
}

TEST_CASE("loopback and local sockets are not counted unless somebody wants it") {
  World world;
  std::deque<TestPeer> peers;
  for (int i = 0; i < 200; ++i) peers.push_back(world.from("127.0.0.1:" + std::to_string(i + 1)));
  CHECK(world.test.server()->connections() == 200);
}

TEST_CASE("who goes on asking for what was refused is let go") {
  World world({.max_refused_per_minute = 3});
  TestPeer peer = world.test.connect();
  for (int i = 0; i < 3; ++i) peer.send(R"({"cmd":"nothing"})");
  world.test.advance(Millis(59'000));
  CHECK(peer.read_all().size() == 3);
  // A new minute begins.
  world.test.advance(Millis(2'000));
  for (int i = 0; i < 3; ++i) peer.send(R"({"cmd":"nothing"})");
  world.test.settle();
  CHECK(peer.read_all().size() == 3);
  CHECK(turns_until_echo(world, peer) > 0);
  for (int i = 0; i < 5; ++i) peer.send(R"({"cmd":"nothing"})");
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].text("code") == "unknown_command");
  CHECK(frames[1].text("code") == "protocol_error");
  CHECK(peer.wire().ended());
  CHECK(world.met("max_refused_per_minute") == 1);
}

// ---- Time ---------------------------------------------------------------------------------------

TEST_CASE("a body that trickles ends its connection after a grace") {
  World world({.body_rate_bytes = 1'000, .body_grace_ms = 5'000});
  TestPeer slow = world.test.connect();
  TestPeer fast = world.test.connect();
  const std::string head = R"({"cmd":"sink","data_size":1000000})";
  slow.send(head);
  fast.send(head);
  for (int i = 0; i < 100; ++i) {
    slow.wire().send(std::string(240, 's'));
    fast.wire().send(std::string(260, 'f'));
    world.test.advance(Millis(250));
  }
  const std::optional<Frame> told = slow.read();
  CHECK(code_of(told) == "protocol_error");
  CHECK(told->text("message").find("body_rate_bytes") != std::string::npos);
  CHECK(world.met("body_rate_bytes") == 1);
  CHECK_FALSE(fast.read());
  CHECK_FALSE(fast.wire().ended());
}

TEST_CASE("a body that stalls ends its connection after a grace, also if it was fast before") {
  World world({.body_rate_bytes = 1'000, .body_grace_ms = 5'000});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"sink","data_size":10000000})", std::string(5'000'000, 'b'));
  world.test.settle();
  world.test.advance(Millis(4'000));
  CHECK_FALSE(peer.wire().ended());
  world.test.advance(Millis(7'000));
  CHECK(code_of(peer.read()) == "protocol_error");
}

TEST_CASE("nobody is slow who is not read from, or owes no bytes of a body") {
  World world({.body_rate_bytes = 1'000, .body_grace_ms = 5'000});
  // Echo keeps what this one does not read.
  TestPeer full = world.test.connect();
  full.wire().set_room(0);
  full.send(R"({"cmd":"echo","data_size":10000000})", std::string(3'000'000, 'e'));
  // The next frame of a message may come when it likes.
  TestPeer between = world.test.connect();
  between.send(R"({"cmd":"sink","id":1,"more":true,"data_size":1})", "x");
  TestPeer idle = world.test.connect();
  world.test.advance(Millis(50'000));
  CHECK_FALSE(full.wire().closed());
  CHECK_FALSE(between.wire().ended());
  CHECK_FALSE(idle.wire().ended());
  between.send(R"({"id":1})");
  world.test.settle();
  CHECK(between.read()->number("bytes") == 1);
}

TEST_CASE("a rate of 0 is any rate") {
  World world({.body_rate_bytes = 0, .body_grace_ms = 5'000});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"sink","data_size":2})", "x");
  world.test.advance(Millis(50'000));
  CHECK_FALSE(peer.wire().ended());
}

TEST_CASE("a request that is never answered ends at its time") {
  World world({.request_timeout_ms = 10'000});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep","id":1})");
  peer.send(R"({"cmd":"silent","id":2})");
  peer.send(R"({"cmd":"keep","id":3,"timeout_ms":20000})");
  // Whose body is still coming is not waited for.
  peer.send(R"({"cmd":"gather","id":4,"more":true})");
  world.test.advance(Millis(9'000));
  CHECK(peer.read_all().empty());
  world.test.advance(Millis(2'000));
  std::optional<Frame> frame = peer.read();
  CHECK(frame->number("id") == 2);
  CHECK(code_of(frame) == "deadline_exceeded");
  CHECK_FALSE(peer.read());  // a handler may still say something, for cancel_grace_ms
  world.test.advance(Millis(5'000));
  frame = peer.read();
  CHECK(frame->number("id") == 1);
  CHECK(code_of(frame) == "deadline_exceeded");
  CHECK(world.met("request_timeout_ms") == 2);
  world.test.advance(Millis(10'000));
  CHECK(peer.read()->number("id") == 3);
  peer.send(R"({"id":4})");
  world.test.settle();
  CHECK(peer.read()->ok());
}

// ---- Memory -------------------------------------------------------------------------------------

TEST_CASE("what is held for a peer is counted while it is held, and at the end nothing is") {
  World world;
  {
    TestPeer peer = world.test.connect();
    peer.wire().set_room(0);
    // A kept body, a gathered one, a whole reply, a request that waits, and a part of a header.
    peer.send(R"({"cmd":"echo","id":1,"data_size":300000})", std::string(300'000, 'e'));
    world.test.settle();
    std::uint64_t before = world.memory();
    CHECK(before >= 300'000);
    peer.send(R"({"cmd":"gather","id":2,"more":true,"data_size":100000})",
              std::string(100'000, 'g'));
    world.test.settle();
    CHECK(world.memory() >= before + 100'000);
    before = world.memory();
    peer.send(R"({"cmd":"keep","id":3})");
    peer.send(R"({"cmd":"keep","id":4})");
    world.test.settle();
    CHECK(world.memory() > before);
    before = world.memory();
    peer.wire().send(length_bytes(50'000) + std::string(40'000, ' '));
    world.test.settle();
    CHECK(world.memory() >= before + 40'000);
    before = world.memory();
    std::move(world.tokens.front()).ok({}, Buffer::own(std::string(kMiB, 'r')));
    world.test.settle();
    CHECK(world.memory() >= before + kMiB - 4 * kKiB);  // its request is less by now
    peer.wire().reset();
    world.test.settle();
  }
  CHECK(world.test.server()->connections() == 0);
  world.tokens.clear();
  CHECK(world.memory() == 0);
}

TEST_CASE("what was answered and read is held no more") {
  World world;
  TestPeer peer = world.test.connect();
  for (const char* cmd : {"echo", "gather", "large", "sink"}) {
    for (const char* id : {"", R"("id":1,)"}) {
      peer.send(std::string(R"({"cmd":")") + cmd + "\"," + id + R"("data_size":100000})",
                std::string(100'000, 'x'));
      world.test.settle();
      CHECK(peer.read()->ok());
      CHECK(world.memory() == 0);
    }
  }
}

TEST_CASE("bodies that are gathered by many are refused when the server's memory is used up") {
  World world({.memory_bytes = 8 * kMiB});
  std::deque<TestPeer> peers;
  for (int i = 0; i < 30; ++i) {
    peers.push_back(world.test.connect());
    peers.back().send(R"({"cmd":"gather","id":1,"more":true,"data_size":900000})",
                      std::string(900'000, 'g'));
    world.test.settle();
  }
  CHECK(world.memory() < 10 * kMiB);
  int overloaded = 0;
  for (TestPeer& peer : peers) {
    if (const std::optional<Frame> frame = peer.read())
      overloaded += code_of(frame) == "overloaded";
  }
  CHECK(overloaded >= 18);
  CHECK(world.met("memory_bytes") >= 18);
  // The server can still be asked how it is, and is itself again when they are gone.
  TestPeer late = world.test.connect();
  CHECK(code_of(late.read()) == "overloaded");
  CHECK(late.wire().closed());
  for (TestPeer& peer : peers) peer.wire().reset();
  world.test.settle();
  CHECK(world.memory() == 0);
  TestPeer after = world.test.connect();
  CHECK(turns_until_echo(world, after) > 0);
}

TEST_CASE(
    "out of memory, a connection that holds nothing is refused politely, and is told how it is") {
  World world({.memory_bytes = 8 * kMiB});
  TestPeer watcher = world.test.connect();
  TestPeer holder = world.unread_replies(8);
  CHECK(world.memory() >= 8 * kMiB);
  watcher.send(R"({"cmd":"count"})");
  watcher.send(R"({"cmd":"ping"})");
  watcher.send(R"({"cmd":"gather","id":9,"data_size":10})", "0123456789");
  world.test.settle();
  const std::vector<Frame> frames = watcher.read_all();
  REQUIRE(frames.size() == 3);
  CHECK(frames[0].text("code") == "overloaded");
  CHECK(frames[0].text("message").find("memory_bytes") != std::string::npos);
  CHECK(frames[1].ok());
  CHECK(frames[2].text("code") == "overloaded");
  CHECK(world.counted == 0);
  // Its reader comes back, and with it everything.
  holder.wire().set_room(100 * kMiB);
  world.test.settle();
  CHECK(holder.read_all().size() == 8);
  CHECK(world.memory() == 0);
  CHECK(turns_until_echo(world, watcher) > 0);
}

TEST_CASE("peers that do not read what they had echoed cannot use up the server's memory") {
  World world({.memory_bytes = 16 * kMiB, .overload_timeout_ms = 2'000});
  TestPeer reader = world.test.connect();
  std::deque<TestPeer> peers;
  for (int i = 0; i < 40; ++i) {
    peers.push_back(world.test.connect());
    peers.back().wire().set_room(0);
    peers.back().send(R"({"cmd":"echo","data_size":4000000})", std::string(4'000'000, 'e'));
  }
  world.test.settle();
  // Each may hold its window, 2 MiB, which together were 80.
  CHECK(world.memory() <= 17 * kMiB);
  world.test.advance(Millis(1'500));
  for (TestPeer& peer : peers) CHECK_FALSE(peer.wire().closed());
  // In the end those that hold most have to go, until there is room for others.
  world.test.advance(Millis(20'000));
  CHECK(world.memory() < 16 * kMiB);
  int ended = 0;
  for (TestPeer& peer : peers) ended += peer.wire().was_reset();
  CHECK(ended >= 1);
  CHECK(ended < 40);
  CHECK(turns_until_echo(world, reader) > 0);
}

TEST_CASE("out of memory, an upload that was there first goes on and is complete") {
  World world({.memory_bytes = 8 * kMiB});
  TestPeer first = world.test.connect();
  first.wire().set_room(0);
  first.send(R"({"cmd":"echo","id":1,"data_size":3000000})", std::string(1'000'000, 'f'));
  world.test.settle();
  std::deque<TestPeer> later;
  for (int i = 0; i < 6; ++i) {
    later.push_back(world.test.connect());
    later.back().wire().set_room(0);
    later.back().send(R"({"cmd":"echo","data_size":2000000})", std::string(2'000'000, 'l'));
    world.test.settle();
  }
  CHECK(world.memory() <= 9 * kMiB);
  first.wire().set_room(100 * kMiB);
  first.wire().send(std::string(2'000'000, 'f'));
  world.test.settle();
  std::string body;
  for (const Frame& frame : first.read_all()) body += frame.body;
  CHECK(body.size() == 3'000'000);
  for (TestPeer& peer : later) peer.wire().set_room(100 * kMiB);
  world.test.settle();
  for (TestPeer& peer : later) CHECK(peer.read()->body.size() == 2'000'000);
  CHECK(world.memory() == 0);
}

TEST_CASE("parts of headers count, and are not waited for when memory is used up") {
  World world({.memory_bytes = 8 * kMiB});
  std::deque<TestPeer> peers;
  for (int i = 0; i < 300; ++i) {
    peers.push_back(world.test.connect());
    world.test.loop().step();
  }
  for (TestPeer& peer : peers) {
    peer.wire().send(length_bytes(60'000) + std::string(59'000, ' '));
    world.test.loop().step();
    world.test.loop().step();
  }
  CHECK(world.memory() < 9 * kMiB);
  CHECK(code_of(peers.back().read()) == "overloaded");
  world.test.advance(Millis(60'000));  // header_timeout_ms ends the others
  CHECK(world.memory() == 0);
}

TEST_CASE("whole replies that wait for one reader are bounded together") {
  World world({.output_hard_bytes = 4 * kMiB});
  TestPeer peer = world.test.connect();
  peer.wire().set_room(0);
  for (int id = 0; id < 20; ++id) peer.send("{\"cmd\":\"keep\",\"id\":" + std::to_string(id) + "}");
  world.test.settle();
  for (ReplyToken& token : world.tokens) {
    std::move(token).ok({}, Buffer::own(std::string(kMiB, 'r')));
  }
  world.test.settle();
  CHECK(world.memory() < 5 * kMiB);
  peer.wire().set_room(100 * kMiB);
  world.test.settle();
  int whole = 0;
  int refused = 0;
  for (const Frame& frame : peer.read_all()) {
    whole += frame.body.size() == kMiB;
    refused += frame.text("code") == "overloaded";
  }
  CHECK(whole == 4);
  CHECK(refused == 16);
  CHECK(world.met("output_hard_bytes") == 16);
}

TEST_CASE(
    "a reply that is gathered from its source counts, and is given up when memory is used up") {
  World world({.memory_bytes = 8 * kMiB});
  std::deque<TestPeer> peers;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(world.test.connect());
    peers.back().send(R"({"cmd":"endless"})");
  }
  for (int i = 0; i < 4; ++i) world.test.settle();
  CHECK(world.memory() < 9 * kMiB);
  for (TestPeer& peer : peers) CHECK(code_of(peer.read()) == "overloaded");
  CHECK(world.memory() == 0);
}

TEST_CASE("one reply is taken whatever its size") {
  World world({.output_hard_bytes = 64 * kKiB});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"large"})");
  world.test.settle();
  CHECK(peer.read()->body.size() == kMiB);
}

TEST_CASE("what a handler says that it holds counts until it has answered") {
  World world({.memory_bytes = 8 * kMiB});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep","id":1})");
  peer.send(R"({"cmd":"keep","id":2})");
  world.test.settle();
  ReplyToken& token = world.tokens.front();
  const std::uint64_t before = world.memory();
  CHECK(token.holds(5 * kMiB));
  CHECK(token.holds(3 * kMiB));
  CHECK(world.memory() == before + 3 * kMiB);
  CHECK(token.holds(9 * kMiB));  // it is there already: this is for the next one to be refused
  const Result<void> more = world.tokens.back().holds(1);
  REQUIRE_FALSE(more);
  CHECK(more.error().code == Errc::overloaded);
  CHECK(token.holds(9 * kMiB - 1));  // less can always be had
  std::move(world.tokens.front()).ok();
  std::move(world.tokens.back()).ok();
  world.test.settle();
  CHECK(peer.read_all().size() == 2);
  CHECK(world.memory() == 0);
  CHECK(token.holds(kMiB));  // of an answered request nothing counts
  CHECK(world.memory() == 0);
}

TEST_CASE("a smaller budget takes effect at once, and a larger one too") {
  World world;
  TestPeer holder = world.unread_replies(9);
  TestPeer peer = world.test.connect();
  CHECK(turns_until_echo(world, peer) > 0);
  Limits limits = world.test.server()->limits();
  limits.memory_bytes = 8 * kMiB;
  world.test.server()->set_limits(limits);
  peer.send(R"({"cmd":"count"})");
  world.test.settle();
  CHECK(code_of(peer.read()) == "overloaded");
  limits.memory_bytes = 16 * kMiB;
  world.test.server()->set_limits(limits);
  CHECK(turns_until_echo(world, peer) > 0);
}

TEST_CASE("whoever was paused and has read all is read again at once, whatever the others hold") {
  World world({.memory_bytes = 8 * kMiB});
  TestPeer oldest = world.unread_replies(1);
  TestPeer holder = world.unread_replies(6);
  TestPeer newest = world.unread_replies(1);
  newest.wire().set_room(100 * kMiB);
  world.test.settle();
  CHECK(newest.read_all().size() == 1);
  world.test.advance(Millis(1'000));  // an idle connection gives its account back
  CHECK(turns_until_echo(world, newest) > 0);
  for (TestPeer* peer : {&holder, &oldest}) peer->wire().set_room(100 * kMiB);
  world.test.settle();
  for (TestPeer* peer : {&holder, &oldest}) {
    CHECK_FALSE(peer->read_all().empty());
    CHECK(turns_until_echo(world, *peer) > 0);
  }
}

TEST_CASE(
    "many that hold little and take a byte now and then cannot keep the server out of memory") {
  World world({.memory_bytes = 8 * kMiB, .overload_timeout_ms = 2'000});
  TestPeer other = world.test.connect();
  std::deque<TestPeer> peers;
  for (int i = 0; i < 700; ++i) {
    peers.push_back(world.test.connect());
    peers.back().wire().set_room(0);
    peers.back().send(R"({"cmd":"echo","id":1,"data_size":15000})", std::string(15'000, 'e'));
    peers.back().wire().send_end();
    world.test.settle();
  }
  CHECK(world.memory() >= 8 * kMiB);
  for (int i = 0; i < 8; ++i) {
    for (TestPeer& peer : peers) peer.wire().set_room(1);
    world.test.advance(Millis(1'000));
  }
  CHECK(world.memory() < 8 * kMiB);
  CHECK(turns_until_echo(world, other) > 0);
}

TEST_CASE("who is slow but goes on is not ended for want of memory") {
  World world({.memory_bytes = 8 * kMiB, .overload_timeout_ms = 2'000});
  TestPeer holder = world.unread_replies(8);
  for (int i = 0; i < 20; ++i) {
    holder.wire().set_room(600'000);  // a reply in two seconds
    world.test.advance(Millis(1'000));
    REQUIRE_FALSE(holder.wire().closed());
  }
  CHECK(world.memory() == 0);
}

TEST_CASE("long headers count as long as anybody has their requests") {
  World world({.memory_bytes = 16 * kMiB});
  const std::string pad(60'000, 'p');
  const auto ask = [&pad](TestPeer& peer, const std::string& cmd, int id) {
    peer.send("{\"cmd\":\"" + cmd + "\",\"more\":true,\"id\":" + std::to_string(id) + ",\"x\":\"" +
              pad + "\"}");
  };
  SUBCASE("whose bodies have not ended") {
    TestPeer peer = world.test.connect();
    for (int id = 0; id < 50; ++id) ask(peer, "sink", id);
    world.test.settle();
    CHECK(world.memory() > 50 * pad.size());
  }
  SUBCASE("that were refused and whose bodies have not ended") {
    TestPeer peer = world.test.connect();
    for (int id = 0; id < 50; ++id) ask(peer, "nothing", id);
    world.test.settle();
    CHECK(world.memory() > 50 * pad.size());
  }
  SUBCASE("whose peers have gone and whose handlers have not noticed") {
    for (int n = 0; n < 10; ++n) {
      TestPeer peer = world.test.connect();
      for (int id = 0; id < 5; ++id) {
        peer.send("{\"cmd\":\"keep\",\"id\":" + std::to_string(id) + ",\"x\":\"" + pad + "\"}");
      }
      world.test.settle();
      peer.wire().reset();
      world.test.settle();
    }
    CHECK(world.tokens.size() == 50);
    CHECK(world.memory() > 50 * pad.size());
    world.tokens.clear();
    CHECK(world.memory() == 0);
  }
}

TEST_CASE("what a handler held does not stand in the way of its own reply") {
  World world({.output_hard_bytes = kMiB});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep"})");
  world.test.settle();
  CHECK(world.tokens.front().holds(40 * kMiB));
  std::move(world.tokens.front()).ok({}, Buffer::own(std::string(33 * kMiB, 'r')));
  world.test.settle();
  CHECK(peer.read()->body.size() == 33 * kMiB);
}

TEST_CASE("pieces that were pulled before there was room for them count") {
  World world;
  TestPeer peer = world.test.connect();
  for (int id = 0; id < 20; ++id) {
    peer.send("{\"cmd\":\"keep\",\"id\":" + std::to_string(id) + "}");
  }
  peer.wire().set_room(0);
  world.test.settle();
  for (ReplyToken& token : world.tokens) {
    std::move(token).ok({}, std::shared_ptr<Source>(std::make_shared<Endless>()));
  }
  for (int i = 0; i < 40; ++i) {
    peer.wire().set_room(70'000);
    world.test.settle();
  }
  // One piece of 64 KiB of nearly each.
  CHECK(world.memory() > kMiB + 15 * 64 * kKiB);
  peer.wire().reset();
  world.test.settle();
  CHECK(world.memory() == 0);
}

TEST_CASE("on the wire ready the word that frees memory is read although memory is short") {
  World world({.memory_bytes = 8 * kMiB});
  TestPeer peer = world.test.connect(Endpoint{.wire = Wire::ready, .cmd = "large"});
  peer.wire().send("x");
  world.test.settle();
  CHECK(peer.wire().take_received() == "1048576");
  TestPeer holder = world.unread_replies(8);
  peer.wire().send("recv_ready");
  world.test.settle();
  CHECK(peer.wire().received().size() == kMiB);
}

TEST_CASE("a lower max_in_flight ends nobody who keeps to it from now on") {
  World world;
  TestPeer peer = world.test.connect();
  for (int id = 0; id < 10; ++id) peer.send("{\"cmd\":\"keep\",\"id\":" + std::to_string(id) + "}");
  world.test.settle();
  Limits limits = world.test.server()->limits();
  limits.max_in_flight = 2;
  world.test.server()->set_limits(limits);
  peer.send(R"({"cmd":"count","id":99})");
  world.test.settle();
  CHECK(code_of(peer.read()) == "busy");
  CHECK_FALSE(peer.wire().ended());
}

TEST_CASE("a lower max_in_flight lets what is under way end") {
  World world;
  TestPeer peer = world.test.connect();
  for (int id = 0; id < 10; ++id) {
    peer.send("{\"cmd\":\"sink\",\"more\":true,\"id\":" + std::to_string(id) + "}");
  }
  world.test.settle();
  Limits limits = world.test.server()->limits();
  limits.max_in_flight = 1;
  world.test.server()->set_limits(limits);
  for (int id = 0; id < 10; ++id) peer.send("{\"id\":" + std::to_string(id) + "}");
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 10);
  for (const Frame& frame : frames) CHECK(frame.ok());
}

TEST_CASE("of a thousand requests at once each is found by its id, and each ends once") {
  World world({.max_in_flight = 2'000});
  TestPeer peer = world.test.connect();
  std::string begun;
  std::string ended;
  for (int id = 0; id < 1'000; ++id) {
    begun += frame_bytes("{\"cmd\":\"sink\",\"more\":true,\"id\":" + std::to_string(id) + "}");
    ended += frame_bytes("{\"id\":" + std::to_string(999 - id) + ",\"data_size\":3}", "end");
  }
  peer.wire().send(begun);
  peer.wire().send(ended);
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 1'000);
  CHECK(frames.front().number("id") == 999);
  CHECK(frames.back().number("id") == 0);
  for (const Frame& frame : frames) CHECK(frame.number("bytes") == 3);
  // An id is free again, and one in use is not.
  peer.send(R"({"cmd":"count","id":500})");
  world.test.settle();
  CHECK(peer.read()->ok());
  peer.wire().send(begun);
  peer.send(R"({"cmd":"count","id":500})");
  world.test.settle();
  CHECK(code_of(peer.read()) == "protocol_error");
}

TEST_CASE("a larger window opens one that was full") {
  World world({.window_bytes = kMiB});
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"hoard","data_size":100000000})", std::string(4 * kMiB, 'h'));
  world.test.settle();
  const std::size_t unread = peer.wire().unread();
  CHECK(unread > 2 * kMiB);
  Limits limits = world.test.server()->limits();
  limits.window_bytes = 64 * kMiB;
  world.test.server()->set_limits(limits);
  world.test.settle();
  CHECK(peer.wire().unread() == 0);
}

TEST_CASE("a cancel is a request that begins and ends") {
  World world;
  TestPeer peer = world.test.connect();
  peer.send(R"({"cmd":"keep","id":1})");
  peer.send(R"({"cmd":"cancel","id":2,"target":1})");
  peer.send(R"({"cmd":"cancel","id":3,"target":1})");
  world.test.settle();
  world.tokens.clear();
  world.test.settle();
  CHECK(peer.read_all().size() == 3);
  CHECK(world.metrics.running_requests() == 0);
}

TEST_CASE("time in which the process itself stood still is nobody's fault") {
  World world({.body_rate_bytes = 1'000, .body_grace_ms = 5'000, .header_timeout_ms = 5'000});
  TestPeer upload = world.test.connect();
  upload.send(R"({"cmd":"sink","data_size":20000})", std::string(10'000, 'u'));
  TestPeer header = world.test.connect();
  header.wire().send(length_bytes(14));
  world.test.advance(Millis(1'000));
  // Stopped for a minute; what came meanwhile is read after the timers have run.
  world.test.stand_still(Millis(60'000));
  upload.wire().send(std::string(10'000, 'u'));
  header.wire().send(R"({"cmd":"ping"})");
  world.test.settle();
  CHECK(upload.read()->number("bytes") == 20'000);
  CHECK(header.read()->ok());
}

// ---- Turns --------------------------------------------------------------------------------------
// A turn of the loop serves everybody who is ready, each with so much and no more; that is what
// keeps an answer from waiting for others, and it can be counted without a clock.

TEST_CASE("an echo beside an upload is answered in one turn, in which the upload gets two slabs") {
  World world;
  TestPeer upload = world.test.connect();
  TestPeer peer = world.test.connect();
  upload.send(R"({"cmd":"sink","data_size":1000000000})");
  upload.wire().send_in_pieces(std::string(40 * kMiB, 'u'), 256 * kKiB);
  world.test.loop().step();
  for (int i = 0; i < 50; ++i) {
    const std::size_t before = upload.wire().unread();
    CHECK(turns_until_echo(world, peer) == 1);
    CHECK(before - upload.wire().unread() <= 2 * 256 * kKiB);
  }
  CHECK(upload.wire().unread() > 0);
}

TEST_CASE("an echo beside a flood of tiny requests is answered in one turn") {
  World world;
  TestPeer flood = world.test.connect();
  TestPeer peer = world.test.connect();
  std::string requests;
  while (requests.size() < 4 * kMiB) requests += frame_bytes(R"({"cmd":"count"})");
  flood.wire().send_in_pieces(requests, 256 * kKiB);
  world.test.loop().step();
  for (int i = 0; i < 20; ++i) {
    const int before = world.counted;
    CHECK(turns_until_echo(world, peer) == 1);
    CHECK(world.counted - before <= 3 * 2'048);  // of its input, and twice of what was held
  }
  CHECK(flood.wire().unread() > 0);
}

TEST_CASE(
    "an echo beside a thousand slow readers is answered in one turn, and each is written once") {
  World world;
  TestPeer peer = world.test.connect();
  std::deque<TestPeer> readers;
  for (int i = 0; i < 1'000; ++i) {
    readers.push_back(world.test.connect());
    readers.back().wire().set_room(0);
    readers.back().send(R"({"cmd":"echo","data_size":20000})", std::string(20'000, 's'));
  }
  world.test.settle();
  for (int i = 0; i < 20; ++i) {
    std::vector<std::size_t> before;
    for (TestPeer& reader : readers) {
      reader.wire().set_room(1);
      before.push_back(reader.wire().writes());
    }
    CHECK(turns_until_echo(world, peer) == 1);
    for (std::size_t at = 0; at < readers.size(); ++at) {
      REQUIRE(readers[at].wire().writes() - before[at] <= 1);
    }
  }
}
