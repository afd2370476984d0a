// SPDX-License-Identifier: MIT
#include "cleave/core/reconnecting_client.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/manual_clock.h"
#include "cleave/testing/memory_stream.h"
#include "cleave/testing/plain_client.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

struct Outcome {
  std::optional<Result<Answer>> result;
  UniqueFunction<void(Result<Answer>)> callback() {
    return [this](Result<Answer> answer) {
      CHECK_FALSE(result);
      result = std::move(answer);
    };
  }
  [[nodiscard]] Errc code() const {
    REQUIRE(result);
    return result->error().code;
  }
};

// A client whose servers, one for each connection, are the test. The clock is moved by hand, and
// chance always says a half.
struct World {
  ManualClock clock;
  std::unique_ptr<Loop> loop = Loop::create({.clock = &clock}).value();
  std::vector<MemoryPeer> peers;
  int refusals = 0;    // so many attempts to connect fail
  bool hangs = false;  // or come to nothing, for the time being
  std::vector<Client::Connected> hanging;
  int attempts = 0;
  std::optional<ReconnectingClient> client;

  explicit World(ReconnectingOptions options = {}) {
    options.retry.chance = [] { return 0.5; };
    client.emplace(
        *loop,
        [this](Client::Connected done) {
          ++attempts;
          if (hangs) return hanging.push_back(std::move(done));
          loop->post([this, done = std::move(done)]() mutable { connected(std::move(done)); });
        },
        options);
  }
  void connected(Client::Connected done) {
    if (refusals > 0) {
      --refusals;
      return done(fail(Errc::unavailable, "nobody listens"));
    }
    MemoryStream::Pair pair = MemoryStream::make(*loop);
    peers.push_back(std::move(pair.peer));
    done(std::make_unique<Client>(*loop, std::move(pair.stream)));
  }
  void settle() {
    for (int i = 0; i < 32; ++i) loop->step();
  }
  void advance(Millis by) {
    clock.advance(by);
    settle();
  }
  // The frames that a server has got since the last time.
  std::vector<Frame> got(std::size_t peer) {
    const std::string input = peers.at(peer).take_received();
    std::vector<Frame> frames;
    HeaderParser parser;
    Decoder decoder(parser);
    std::string_view rest = input;
    for (;;) {
      Result<Decoder::Event> event = decoder.next(rest);
      REQUIRE(event);
      if (std::holds_alternative<Decoder::NeedMore>(*event)) return frames;
      if (const auto* head = std::get_if<Decoder::Head>(&*event)) {
        frames.push_back({head->header, {}});
      } else if (const auto* body = std::get_if<Decoder::Body>(&*event)) {
        frames.back().body += body->bytes;
      }
    }
  }
  void answer(std::size_t peer, std::int64_t id, const std::string& members,
              const std::string& body = "") {
    peers.at(peer).send(frame_bytes("{\"id\":" + std::to_string(id) + "," + members +
                                        ",\"data_size\":" + std::to_string(body.size()) + "}",
                                    body));
    settle();
  }
  void refuse(std::size_t peer, std::int64_t id, const std::string& code) {
    answer(peer, id, R"("status":"error","code":")" + code + R"(","message":"not now")");
  }
};

// A reply that is passed on, and cannot be taken back.
class Streaming final : public ReplyHandler {
 public:
  struct Seen {
    std::string body;
    std::optional<Result<void>> outcome;
  };
  explicit Streaming(Seen& seen) : seen_(seen) {}
  void on_body(Chunk chunk) override { seen_.body += chunk.bytes(); }
  void on_end(Result<void> outcome, const Header*) override { seen_.outcome = std::move(outcome); }

 private:
  Seen& seen_;
};

// A body that is made of one piece, once.
class Once final : public Source {
 public:
  explicit Once(std::string text) : text_(std::move(text)) {}
  Pulled pull(std::size_t) override {
    if (text_.empty()) return Done{};
    return Piece{Buffer::own(std::exchange(text_, {}))};
  }

 private:
  std::string text_;
};

}  // namespace

TEST_CASE("nothing is connected before the first call, and all calls share a connection") {
  Outcome first;
  Outcome second;
  World world;
  world.settle();
  CHECK(world.attempts == 0);
  CHECK_FALSE(world.client->connected());
  world.client->call({.cmd = "a"}, first.callback());
  world.client->call({.cmd = "b"}, second.callback());
  world.settle();
  CHECK(world.attempts == 1);
  CHECK(world.client->connected());
  CHECK(world.got(0).size() == 2);
  world.answer(0, 2, R"("status":"ok")", "two");
  world.answer(0, 1, R"("status":"ok")", "one");
  CHECK((*first.result)->body == "one");
  CHECK((*second.result)->body == "two");
}

TEST_CASE("a broken connection is made again by the next call, and not before") {
  Outcome first;
  Outcome second;
  World world;
  world.client->call({.cmd = "a"}, first.callback());
  world.settle();
  world.answer(0, 1, R"("status":"ok")");
  world.peers[0].send_end();
  world.settle();
  CHECK_FALSE(world.client->connected());
  world.advance(Millis(100'000));
  CHECK(world.attempts == 1);
  world.client->call({.cmd = "b"}, second.callback());
  world.settle();
  CHECK(world.got(1)[0].text("cmd") == "b");
}

TEST_CASE("a call that is not idempotent ends with its connection, and is sent once") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a"}, outcome.callback());
  world.settle();
  world.peers[0].reset();
  world.settle();
  CHECK(outcome.code() == Errc::unavailable);
  world.advance(Millis(100'000));
  CHECK(world.attempts == 1);
}

TEST_CASE("a call that is not idempotent ends with the failure to connect") {
  Outcome outcome;
  World world;
  world.refusals = 1;
  world.client->call({.cmd = "a"}, outcome.callback());
  CHECK_FALSE(outcome.result);  // never from inside
  world.settle();
  CHECK(outcome.result->error() == Error{Errc::unavailable, "nobody listens"});
}

TEST_CASE("an idempotent call is sent again after the connection broke, with the same body") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a",
                      .members = Members().set("n", 1),
                      .body = Buffer::copy_of("body"),
                      .idempotent = true},
                     outcome.callback());
  world.settle();
  world.peers[0].reset();
  world.settle();
  CHECK_FALSE(outcome.result);
  world.advance(Millis(49));  // half of the first bound, less one
  CHECK(world.attempts == 1);
  world.advance(Millis(1));
  const std::vector<Frame> sent = world.got(1);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].number("n") == 1);
  CHECK(sent[0].body == "body");
  world.answer(1, 1, R"("status":"ok")", "done");
  CHECK((*outcome.result)->body == "done");
}

TEST_CASE("what had come of a gathered reply is forgotten when it is asked for again") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a", .idempotent = true}, outcome.callback());
  world.settle();
  world.answer(0, 1, R"("more":true)", "half of");
  world.peers[0].reset();
  world.settle();
  world.advance(Millis(50));
  world.answer(1, 1, R"("status":"ok")", "whole");
  CHECK((*outcome.result)->body == "whole");
}

TEST_CASE("a reply that was passed on in part is not asked for again") {
  Streaming::Seen seen;
  World world;
  world.client->start({.cmd = "a", .idempotent = true}, std::make_unique<Streaming>(seen));
  world.settle();
  world.answer(0, 1, R"("more":true)", "half");
  world.peers[0].reset();
  world.settle();
  CHECK(seen.body == "half");
  CHECK(seen.outcome->error().code == Errc::unavailable);
  world.advance(Millis(100'000));
  CHECK(world.attempts == 1);
}

TEST_CASE("a reply of which nothing was passed on is asked for again") {
  Streaming::Seen seen;
  World world;
  world.client->start({.cmd = "a", .idempotent = true}, std::make_unique<Streaming>(seen));
  world.settle();
  world.peers[0].reset();
  world.settle();
  world.advance(Millis(50));
  world.answer(1, 1, R"("status":"ok")", "whole");
  CHECK(seen.body == "whole");
  CHECK(seen.outcome->has_value());
}

TEST_CASE("busy and overloaded are waited out on the same connection") {
  for (const char* code : {"busy", "overloaded"}) {
    Outcome outcome;
    World world;
    world.client->call({.cmd = "a", .idempotent = true}, outcome.callback());
    world.settle();
    world.refuse(0, 1, code);
    CHECK_FALSE(outcome.result);
    world.advance(Millis(50));
    world.answer(0, 2, R"("status":"ok")");
    CHECK(outcome.result->has_value());
    CHECK(world.attempts == 1);
  }
}

TEST_CASE("a server that says unavailable finishes what it has, and the rest goes elsewhere") {
  Outcome slow;
  Outcome outcome;
  World world;
  world.client->call({.cmd = "slow"}, slow.callback());
  world.client->call({.cmd = "a", .idempotent = true}, outcome.callback());
  world.settle();
  world.refuse(0, 2, "unavailable");
  CHECK(world.peers[0].ended());
  world.advance(Millis(50));
  CHECK(world.attempts == 2);
  world.answer(1, 1, R"("status":"ok")");
  CHECK(outcome.result->has_value());
  CHECK_FALSE(world.peers[0].closed());
  world.answer(0, 1, R"("status":"ok")", "late");
  CHECK((*slow.result)->body == "late");
  CHECK(world.peers[0].closed());  // it had nothing else
}

TEST_CASE("other errors are the server's answer") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a", .idempotent = true}, outcome.callback());
  world.settle();
  world.refuse(0, 1, "not_found");
  CHECK(outcome.code() == Errc::not_found);
}

TEST_CASE("the last attempt's error ends the call, and each wait is twice as long") {
  Outcome outcome;
  World world;
  world.refusals = 100;
  world.client->call({.cmd = "a", .idempotent = true}, outcome.callback());
  world.settle();
  CHECK(world.attempts == 1);
  for (const int wait : {50, 100, 200}) {
    world.advance(Millis(wait - 1));
    const int before = world.attempts;
    CHECK_FALSE(outcome.result);
    world.advance(Millis(1));
    CHECK(world.attempts == before + 1);
  }
  CHECK(world.attempts == 4);
  CHECK(outcome.result->error() == Error{Errc::unavailable, "nobody listens"});
}

TEST_CASE("a body that is a source is sent once, unless it can be made anew") {
  Outcome once;
  Outcome again;
  World world;
  world.client->call({.cmd = "once", .body = std::make_shared<Once>("text"), .idempotent = true},
                     once.callback());
  int made = 0;
  world.client->call({.cmd = "again",
                      .idempotent = true,
                      .make_body = [&made]() -> Body {
                        ++made;
                        return std::make_shared<Once>("text " + std::to_string(made));
                      }},
                     again.callback());
  world.settle();
  world.peers[0].reset();
  world.settle();
  CHECK(once.code() == Errc::unavailable);
  CHECK_FALSE(again.result);
  world.advance(Millis(50));
  std::string body;
  for (const Frame& frame : world.got(1)) body += frame.body;
  CHECK(body == "text 2");
  CHECK(made == 2);
}

TEST_CASE("the server is told what is left of the time, and no attempt begins after it") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a", .timeout = Millis(100), .idempotent = true}, outcome.callback());
  world.settle();
  CHECK(world.got(0)[0].number("timeout_ms") == 100);
  world.refuse(0, 1, "busy");
  world.advance(Millis(50));
  CHECK(world.got(0)[0].number("timeout_ms") == 50);
  world.refuse(0, 2, "busy");  // the next attempt would begin after 150 ms
  CHECK(outcome.code() == Errc::busy);
}

TEST_CASE("a silent server is waited for until the timeout and its grace, and not used again") {
  Outcome outcome;
  Outcome next;
  World world;
  world.client->call({.cmd = "a", .timeout = Millis(100), .idempotent = true}, outcome.callback());
  world.settle();
  world.advance(Millis(100));
  CHECK_FALSE(outcome.result);
  world.advance(Millis(999));
  CHECK_FALSE(outcome.result);
  world.advance(Millis(1));
  CHECK(outcome.result->error() ==
        Error{Errc::deadline_exceeded, "there was no answer within 100 ms and 1000 ms of grace"});
  CHECK(world.peers[0].was_reset());
  world.client->call({.cmd = "b"}, next.callback());
  world.settle();
  CHECK(world.attempts == 2);
}

TEST_CASE("a server that falls silent in the middle of a reply is left at the timeout as well") {
  Streaming::Seen seen;
  World world;
  world.client->start({.cmd = "a", .timeout = Millis(100)}, std::make_unique<Streaming>(seen));
  world.settle();
  world.answer(0, 1, R"("more":true)", "half");
  world.advance(Millis(100));
  world.advance(Millis(1'000));
  CHECK(seen.body == "half");
  CHECK(seen.outcome->error().code == Errc::deadline_exceeded);
}

TEST_CASE("the server's word on the deadline is passed on where it comes in time") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a", .timeout = Millis(100)}, outcome.callback());
  world.settle();
  world.advance(Millis(500));
  world.refuse(0, 1, "deadline_exceeded");
  CHECK(outcome.result->error() == Error{Errc::deadline_exceeded, "not now"});
  CHECK(world.client->connected());
}

TEST_CASE("a connection that does not come about ends the call at its timeout") {
  Outcome outcome;
  World world;
  world.hangs = true;
  world.client->call({.cmd = "a", .timeout = Millis(100)}, outcome.callback());
  world.advance(Millis(99));
  CHECK_FALSE(outcome.result);
  world.advance(Millis(1));
  CHECK(outcome.result->error() ==
        Error{Errc::deadline_exceeded, "there was no answer within 100 ms"});
  world.connected(std::move(world.hanging.at(0)));
  world.settle();
  CHECK(world.got(0).empty());
}

TEST_CASE("a call is cancelled while it waits for a connection, or for its next attempt") {
  Outcome connecting;
  Outcome pausing;
  World world;
  world.hangs = true;
  CallHandle handle = world.client->call({.cmd = "a"}, connecting.callback());
  handle.cancel();
  CHECK_FALSE(connecting.result);  // never from inside
  world.settle();
  CHECK(connecting.code() == Errc::cancelled);
  CHECK_FALSE(handle.running());
  world.connected(std::move(world.hanging.at(0)));
  handle = world.client->call({.cmd = "b", .idempotent = true}, pausing.callback());
  world.settle();
  world.refuse(0, 1, "busy");
  handle.cancel();
  handle.cancel();
  world.settle();
  CHECK(pausing.code() == Errc::cancelled);
  world.advance(Millis(100'000));
  CHECK(world.got(0).size() == 1);
}

TEST_CASE("a cancelled call ends by the server's word, or without it after a while") {
  Outcome heard;
  Outcome unheard;
  World world;
  CallHandle first = world.client->call({.cmd = "a", .idempotent = true}, heard.callback());
  CallHandle second = world.client->call({.cmd = "b"}, unheard.callback());
  world.settle();
  first.cancel();
  second.cancel();
  world.settle();
  world.refuse(0, 1, "cancelled");
  CHECK(heard.result->error() == Error{Errc::cancelled, "not now"});
  world.advance(Millis(999));
  CHECK_FALSE(unheard.result);
  world.advance(Millis(1));
  CHECK(unheard.code() == Errc::cancelled);
  CHECK(world.peers[0].was_reset());
}

TEST_CASE("a cancelled call is not sent again when its connection breaks") {
  Outcome outcome;
  World world;
  CallHandle handle = world.client->call({.cmd = "a", .idempotent = true}, outcome.callback());
  world.settle();
  handle.cancel();
  world.peers[0].reset();
  world.settle();
  CHECK(outcome.code() == Errc::unavailable);
}

TEST_CASE("a client that goes ends what runs, what waits and what connects") {
  Outcome running;
  Outcome pausing;
  std::optional<Result<void>> connect;
  World world;
  world.client->call({.cmd = "a"}, running.callback());
  world.client->call({.cmd = "b", .idempotent = true}, pausing.callback());
  world.settle();
  world.refuse(0, 2, "busy");
  world.client.reset();
  CHECK(running.code() == Errc::unavailable);
  CHECK(pausing.code() == Errc::unavailable);
  CHECK(world.peers[0].closed());

  World other;
  other.hangs = true;
  other.client->connect([&connect](Result<void> result) { connect = std::move(result); });
  other.client.reset();
  CHECK(connect->error().code == Errc::unavailable);
  other.hangs = false;
  other.connected(std::move(other.hanging.at(0)));  // too late: it is closed
  CHECK(other.peers[0].closed());
}

TEST_CASE("a client may be destroyed in the callback of its call") {
  World world;
  bool called = false;
  world.client->call({.cmd = "a"}, [&](const Result<Answer>&) {
    called = true;
    world.client.reset();
  });
  world.settle();
  world.answer(0, 1, R"("status":"ok")");
  CHECK(called);
  CHECK(world.peers[0].closed());

  World late;
  late.client->call({.cmd = "a", .timeout = Millis(1)},
                    [&](const Result<Answer>&) { late.client.reset(); });
  late.settle();
  late.advance(Millis(1));
  late.advance(Millis(1'000));
  CHECK_FALSE(late.client);
}

TEST_CASE("a reset ends all calls with cancelled, and a later one connects anew") {
  Outcome running;
  Outcome later;
  World world;
  world.client->call({.cmd = "a", .idempotent = true}, running.callback());
  world.settle();
  world.client->reset();
  CHECK(running.code() == Errc::cancelled);
  CHECK(world.peers[0].was_reset());
  world.client->call({.cmd = "b"}, later.callback());
  world.settle();
  CHECK(world.got(1).size() == 1);
}

TEST_CASE("connect() says whether somebody is there, and connections are told of") {
  std::optional<Result<void>> result;
  int made = 0;
  World world;
  world.client->on_connect([&made] { ++made; });
  world.refusals = 1;
  world.client->connect([&](Result<void> connected) { result = std::move(connected); });
  world.settle();
  CHECK(result->error().code == Errc::unavailable);
  CHECK(made == 0);
  for (int i = 0; i < 2; ++i) {
    result.reset();
    world.client->connect([&](Result<void> connected) { result = std::move(connected); });
    CHECK_FALSE(result);
    world.settle();
    CHECK(result->has_value());
  }
  CHECK(made == 1);
}

TEST_CASE("only a URL with the wire frame over a stream has a client that reconnects") {
  auto loop = Loop::create().value();
  for (const char* url : {"udp://127.0.0.1:1", "tcp://127.0.0.1:1?wire=raw&cmd=echo", "nonsense"}) {
    CHECK(ReconnectingClient::create(*loop, url).error().code == Errc::invalid_argument);
  }
}

TEST_CASE("a real server that goes away and comes back is found again") {
  const ScratchDirectory folder;
  const std::string url = "unix:" + (folder / "socket").string();
  const auto add = [](Router& router, Loop&) {
    router.add("hello", {.summary = "says hello"},
               collected([](const Request&, std::string_view) -> Result<Reply> {
                 return Reply::text("hello");
               }));
  };
  auto loop = Loop::create().value();
  const auto client = ReconnectingClient::create(*loop, url).value();
  const auto ask = [&] {
    std::optional<Result<Answer>> answer;
    client->call({.cmd = "hello", .timeout = Millis(60'000), .idempotent = true},
                 [&answer](Result<Answer> result) { answer = std::move(result); });
    while (!answer) loop->step_waiting();
    return std::move(*answer);
  };
  std::optional<LiveServer> server(std::in_place, add, ServerOptions(), url);
  CHECK(ask()->body == "hello");
  server.reset();
  CHECK(ask().error().code == Errc::unavailable);
  server.emplace(add, ServerOptions(), url);
  CHECK(ask()->body == "hello");
}

TEST_CASE("a real server that comes while a call waits is found by a later attempt") {
  const ScratchDirectory folder;
  const std::string url = "unix:" + (folder / "socket").string();
  auto loop = Loop::create().value();
  std::optional<LiveServer> server;
  int waits = 0;
  ReconnectingOptions options;
  options.retry.chance = [&] {  // asked before each wait
    if (++waits == 2) {
      server.emplace(
          [](Router& router, Loop&) {
            router.add("hello", {.summary = "says hello"},
                       collected([](const Request&, std::string_view) -> Result<Reply> {
                         return Reply::text("hello");
                       }));
          },
          ServerOptions(), url);
    }
    return 0.0;
  };
  const auto client = ReconnectingClient::create(*loop, url, options).value();
  std::optional<Result<Answer>> answer;
  client->call({.cmd = "hello", .idempotent = true},
               [&answer](Result<Answer> result) { answer = std::move(result); });
  while (!answer) loop->step_waiting();
  CHECK((*answer)->body == "hello");
  CHECK(waits == 2);
}
