// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/client.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/memory_stream.h"
#include "cleave/testing/plain_client.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// A client whose server is the test.
struct World {
  ManualClock clock;
  std::unique_ptr<Loop> loop = Loop::create({.clock = &clock}).value();
  std::optional<MemoryPeer> wire;
  std::unique_ptr<Client> client;

  explicit World(const ClientOptions& options = {}) {
    MemoryStream::Pair pair = MemoryStream::make(*loop);
    wire.emplace(std::move(pair.peer));
    client = std::make_unique<Client>(*loop, std::move(pair.stream), options);
  }
  void settle() {
    for (int i = 0; i < 32; ++i) loop->step();
  }
  void pass(Millis time) {
    clock.advance(time);
    settle();
  }
  // What the client has sent, as frames.
  std::vector<Frame> sent() {
    input += wire->take_received();
    std::vector<Frame> frames;
    HeaderParser parser;
    Decoder decoder(parser);
    std::string_view rest = input;
    for (;;) {
      Result<Decoder::Event> event = decoder.next(rest);
      REQUIRE(event);
      if (std::holds_alternative<Decoder::NeedMore>(*event)) break;
      if (const auto* head = std::get_if<Decoder::Head>(&*event)) {
        frames.push_back({head->header, {}});
      } else if (const auto* body = std::get_if<Decoder::Body>(&*event)) {
        frames.back().body += body->bytes;
      }
    }
    CHECK_FALSE(decoder.inside_frame());
    input.clear();
    return frames;
  }

  std::string input;
};

// Remembers what a call came to. Declared before its World, as a client that goes tells its calls.
// Declared before the world: a client that ends tells its calls.
struct Outcome {
  std::optional<Result<Answer>> result;
  UniqueFunction<void(Result<Answer>)> callback() {
    return [this](Result<Answer> answer) { result = std::move(answer); };
  }
};

}  // namespace

TEST_CASE("calls get ids, and replies find their calls in any order") {
  Outcome first;
  Outcome second;
  World world;
  world.client->call({.cmd = "a", .members = Members().set("n", 1)}, first.callback());
  world.client->call({.cmd = "b", .body = Buffer::copy_of("body")}, second.callback());
  world.settle();
  const std::vector<Frame> sent = world.sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].text("cmd") == "a");
  CHECK(sent[0].number("id") == 1);
  CHECK(sent[0].number("n") == 1);
  CHECK(sent[1].number("id") == 2);
  CHECK(sent[1].body == "body");
  world.wire->send(frame_bytes(R"({"id":2,"status":"ok","data_size":3})", "two") +
                   frame_bytes(R"({"id":1,"more":true,"data_size":2})", "on") +
                   frame_bytes(R"({"id":1,"status":"ok","x":5,"data_size":1})", "e"));
  world.settle();
  REQUIRE(first.result);
  REQUIRE(second.result);
  CHECK((*first.result)->body == "one");
  CHECK((*first.result)->header->integer("x", 0, 9).value() == 5);
  CHECK((*second.result)->body == "two");
}

TEST_CASE("an error reply is the call's error, with its code and sentence") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a"}, outcome.callback());
  world.settle();
  world.wire->send(
      frame_bytes(R"({"id":1,"status":"error","code":"not_found","message":"no such thing"})"));
  world.settle();
  REQUIRE(outcome.result);
  CHECK(outcome.result->error() == Error{Errc::not_found, "no such thing"});
}

TEST_CASE("a broken connection ends every call with unavailable, and later ones too") {
  Outcome running;
  Outcome later;
  World world;
  std::optional<Error> closed;
  world.client->on_close([&](const Error& error) { closed = error; });
  world.client->call({.cmd = "a"}, running.callback());
  world.settle();
  world.wire->reset();
  world.settle();
  REQUIRE(running.result);
  CHECK(running.result->error().code == Errc::unavailable);
  REQUIRE(closed);
  CHECK_FALSE(world.client->connected());
  world.client->call({.cmd = "a"}, later.callback());
  CHECK_FALSE(later.result);
  world.settle();
  REQUIRE(later.result);
  CHECK(later.result->error().code == Errc::unavailable);
}

TEST_CASE("a server that sends no frames ends the connection with protocol_error") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a"}, outcome.callback());
  world.settle();
  world.wire->send("HTTP/1.1 400 Bad Request\r\n");
  world.settle();
  REQUIRE(outcome.result);
  CHECK(outcome.result->error().code == Errc::protocol_error);
  CHECK(world.wire->was_reset());
}

TEST_CASE("an error without an id is the server's last word to all calls") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a"}, outcome.callback());
  world.settle();
  world.wire->send(frame_bytes(R"({"status":"error","code":"busy","message":"too many"})"));
  world.settle();
  REQUIRE(outcome.result);
  CHECK(outcome.result->error() == Error{Errc::busy, "too many"});
}

TEST_CASE("a long body goes out in frames of frame_bytes, and other calls go between them") {
  Outcome bulk;
  Outcome quick;
  World world({.frame_bytes = 1'000});
  world.client->call({.cmd = "bulk", .body = Buffer::copy_of(std::string(2'500, 'b'))},
                     bulk.callback());
  world.client->call({.cmd = "quick"}, quick.callback());
  world.settle();
  const std::vector<Frame> sent = world.sent();
  REQUIRE(sent.size() == 4);
  CHECK(sent[0].body.size() == 1'000);
  CHECK(sent[0].flag("more"));
  CHECK(sent[1].text("cmd") == "quick");
  CHECK(sent[2].text("cmd").empty());
  CHECK(sent[3].body.size() == 500);
  CHECK_FALSE(sent[3].flag("more"));
}

// The server may have stopped reading because its reply is not read.
TEST_CASE("a client whose output waits reads on") {
  Outcome outcome;
  World world({.output_bytes = 1'000});
  world.wire->set_room(100);
  world.client->call({.cmd = "echo", .body = Buffer::copy_of(std::string(5'000, 'b'))},
                     outcome.callback());
  world.settle();
  world.wire->send(frame_bytes(R"({"id":1,"status":"ok","data_size":4})", "part"));
  world.settle();
  REQUIRE(outcome.result);
  CHECK((*outcome.result)->body == "part");
}

TEST_CASE("a reply longer than collected_reply_bytes is too_large, and the next call works") {
  Outcome outcome;
  Outcome next;
  World world({.collected_reply_bytes = 10});
  world.client->call({.cmd = "a"}, outcome.callback());
  world.settle();
  world.wire->send(frame_bytes(R"({"id":1,"status":"ok","data_size":11})", "01234567890"));
  world.settle();
  REQUIRE(outcome.result);
  CHECK(outcome.result->error().code == Errc::too_large);
  // Number 2 was the cancel of what was too long.
  world.client->call({.cmd = "a"}, next.callback());
  world.settle();
  world.wire->send(frame_bytes(R"({"id":3,"status":"ok"})"));
  world.settle();
  REQUIRE(next.result);
  CHECK(next.result->has_value());
}

TEST_CASE("cancel asks the server, and the reply that comes is the end") {
  Outcome outcome;
  World world;
  CallHandle call = world.client->call({.cmd = "slow"}, outcome.callback());
  world.settle();
  CHECK(call.running());
  call.cancel();
  world.settle();
  const std::vector<Frame> sent = world.sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[1].text("cmd") == "cancel");
  CHECK(sent[1].number("target") == 1);
  CHECK_FALSE(outcome.result);
  world.wire->send(frame_bytes(R"({"id":2,"status":"ok"})") +
                   frame_bytes(R"({"id":1,"status":"error","code":"cancelled","message":"m"})"));
  world.settle();
  REQUIRE(outcome.result);
  CHECK(outcome.result->error().code == Errc::cancelled);
  CHECK_FALSE(call.running());
}

TEST_CASE("a cancelled call whose body is still being made ends its request with a last frame") {
  Outcome outcome;
  World world;
  auto body = std::make_shared<Relay>();
  CallHandle call =
      world.client->call({.cmd = "a", .body = std::shared_ptr<Source>(body)}, outcome.callback());
  body->push(Buffer::copy_of("part"));
  world.settle();
  call.cancel();
  world.settle();
  const std::vector<Frame> sent = world.sent();
  REQUIRE(sent.size() == 3);
  CHECK(sent[0].body == "part");
  CHECK(sent[0].flag("more"));
  CHECK(sent[1].text("cmd") == "cancel");
  CHECK(sent[2].number("id") == 1);
  CHECK_FALSE(sent[2].flag("more"));
}

TEST_CASE("a call that is cancelled before anything of it was sent is not sent at all") {
  Outcome outcome;
  World world;
  CallHandle call = world.client->call({.cmd = "a"}, outcome.callback());
  call.cancel();
  CHECK_FALSE(outcome.result);
  world.settle();
  CHECK(world.sent().empty());
  REQUIRE(outcome.result);
  CHECK(outcome.result->error().code == Errc::cancelled);
}

TEST_CASE("a request whose body cannot be made is called off, and only its call fails") {
  Outcome broken;
  Outcome unsent;
  Outcome other;
  World world;
  auto body = std::make_shared<Relay>();
  world.client->call({.cmd = "a", .body = std::shared_ptr<Source>(body)}, broken.callback());
  world.client->call({.cmd = "b", .members = Members().set("long", std::string(70'000, 'x'))},
                     unsent.callback());
  world.client->call({.cmd = "c"}, other.callback());
  body->push(Buffer::copy_of("part"));
  world.settle();
  CHECK(world.sent().size() == 2);
  body->finish({}, Error{Errc::io_error, "the disk failed"});
  world.settle();
  const std::vector<Frame> sent = world.sent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].text("cmd") == "cancel");
  CHECK(sent[0].number("target") == 1);
  CHECK(sent[1].number("id") == 1);
  CHECK_FALSE(sent[1].flag("more"));
  REQUIRE(broken.result);
  CHECK(broken.result->error() == Error{Errc::io_error, "the disk failed"});
  REQUIRE(unsent.result);
  CHECK_FALSE(unsent.result->has_value());
  CHECK_FALSE(other.result);
  CHECK(world.client->connected());
}

TEST_CASE("finish ends the write side behind everything that was to be sent") {
  Outcome outcome;
  Outcome late;
  World world;
  auto body = std::make_shared<Relay>();
  world.client->call({.cmd = "a", .body = std::shared_ptr<Source>(body)}, outcome.callback());
  world.client->finish();
  world.settle();
  CHECK_FALSE(world.wire->ended());
  body->push(Buffer::copy_of("part"));
  body->finish();
  world.settle();
  CHECK(world.wire->ended());
  world.wire->send(frame_bytes(R"({"id":1,"status":"ok"})"));
  world.client->call({.cmd = "b"}, late.callback());
  world.settle();
  CHECK(outcome.result->has_value());
  CHECK(late.result->error().code == Errc::unavailable);
}

TEST_CASE("a client may be destroyed by the handler of a reply that is being given") {
  World world;
  class Destroying final : public ReplyHandler {
   public:
    explicit Destroying(World& world) : world_(world) {}
    void on_body(Chunk chunk) override {
      world_.client.reset();
      size_ += chunk.size();  // the handler itself lives until its call has returned
    }
    void on_end(Result<void> outcome, const Header*) override { CHECK_FALSE(outcome); }

   private:
    World& world_;
    std::size_t size_ = 0;
  };
  world.client->start({.cmd = "a"}, std::make_unique<Destroying>(world));
  world.settle();
  world.wire->send(frame_bytes(R"({"id":1,"status":"ok","data_size":3})", "abc"));
  world.settle();
  CHECK(world.wire->closed());
}

TEST_CASE("a connection that breaks is told from one that is closed") {
  World closed;
  closed.wire->send_end();
  closed.settle();
  CHECK_FALSE(closed.client->connected());
  CHECK_FALSE(closed.client->broken());
  World broken;
  broken.wire->reset();
  broken.settle();
  CHECK(broken.client->broken());
}

TEST_CASE("connecting is refused for addresses that carry no stream of frames") {
  std::unique_ptr<Loop> loop = Loop::create().value();
  for (const std::string_view url : {"tcp://127.0.0.1:1?wire=raw", "udp://127.0.0.1:1"}) {
    std::optional<Errc> refusal;
    Client::connect(*loop, url, {}, [&](Result<std::unique_ptr<Client>> client) {
      REQUIRE_FALSE(client);
      refusal = client.error().code;
    });
    loop->run();
    CHECK(refusal == Errc::invalid_argument);
  }
}

TEST_CASE("a loop may end before a connection is made") {
  std::unique_ptr<Loop> loop = Loop::create().value();
  Client::connect(*loop, "tcp://127.0.0.1:1", {},
                  [](Result<std::unique_ptr<Client>>) { FAIL("the loop has not run"); });
  loop.reset();
}

TEST_CASE("a one-way request has no id, and is done when the system has taken it") {
  World world;
  std::optional<Result<void>> done;
  world.wire->set_room(20);
  world.client->start_one_way(
      {.cmd = "put", .members = Members().set("filesize", 4), .body = Buffer::copy_of("body")},
      [&](Result<void> result) { done = std::move(result); });
  world.settle();
  CHECK_FALSE(done);
  world.wire->set_room(1'000);
  world.settle();
  REQUIRE(done);
  CHECK(done->has_value());
  CHECK(world.wire->received() == frame_bytes(R"({"cmd":"put","filesize":4})", "body"));
}

TEST_CASE("timeout is sent as timeout_ms") {
  Outcome outcome;
  World world;
  world.client->call({.cmd = "a", .timeout = Millis(1'500)}, outcome.callback());
  world.settle();
  CHECK(world.sent().at(0).number("timeout_ms") == 1'500);
}

TEST_CASE("a silent server is asked whether it lives, and given up when it does not say so") {
  Outcome outcome;
  World world({.silence_timeout = Millis(1'000)});
  world.client->call({.cmd = "slow"}, outcome.callback());
  world.settle();
  for (int i = 0; i < 5; ++i) {
    world.pass(Millis(499));
    (void)world.sent();
    world.pass(Millis(1));
    const std::vector<Frame> sent = world.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].text("cmd") == "ping");
    world.pass(Millis(499));
    // Any answer will do.
    world.wire->send(frame_bytes(R"({"id":)" + std::to_string(sent[0].number("id").value()) +
                                 R"(,"status":"error","code":"unknown_command","message":"m"})"));
    world.settle();
    CHECK_FALSE(outcome.result);
  }
  world.pass(Millis(500));
  CHECK(world.sent().size() == 1);
  world.pass(Millis(499));
  CHECK(world.sent().empty());
  CHECK_FALSE(outcome.result);
  world.pass(Millis(1));
  REQUIRE(outcome.result);
  CHECK(outcome.result->error() ==
        Error{Errc::unavailable, "the server has been silent for 1000 ms"});
  CHECK(world.wire->was_reset());
}

TEST_CASE("silence counts while something runs, and not while nothing does") {
  Outcome first;
  Outcome second;
  World world({.silence_timeout = Millis(1'000)});
  world.pass(Millis(5'000));
  world.client->call({.cmd = "a"}, first.callback());
  world.settle();
  world.wire->send(frame_bytes(R"({"id":1,"status":"ok"})"));
  world.settle();
  REQUIRE(first.result);
  world.pass(Millis(5'000));
  CHECK(world.sent().size() == 1);
  world.client->call({.cmd = "b"}, second.callback());
  world.settle();
  world.pass(Millis(999));
  CHECK(world.client->connected());
  world.pass(Millis(1));
  CHECK_FALSE(world.client->connected());
}

TEST_CASE("a server that takes what is sent is not silent, and one that does not is") {
  Outcome outcome;
  World world({.silence_timeout = Millis(1'000)});
  world.wire->set_room(1'000);
  world.client->call({.cmd = "put", .body = Buffer::own(std::string(100'000, 'x'))},
                     outcome.callback());
  world.settle();
  for (int i = 0; i < 5; ++i) {
    world.pass(Millis(900));
    CHECK(world.client->connected());
    world.wire->set_room(1'000);
    world.settle();
  }
  world.pass(Millis(999));
  CHECK_FALSE(outcome.result);
  world.pass(Millis(1));
  REQUIRE(outcome.result);
  CHECK(outcome.result->error().code == Errc::unavailable);
}

TEST_CASE("silence is not the server's while we do not read") {
  struct Keeping final : ReplyHandler {
    explicit Keeping(std::vector<Buffer>& into) : kept(into) {}
    void on_body(Chunk chunk) override { kept.push_back(std::move(chunk).keep()); }
    void on_end(Result<void> /*outcome*/, const Header* /*header*/) override {}
    std::vector<Buffer>& kept;
  };
  World world({.silence_timeout = Millis(1'000)});
  std::vector<Buffer> kept;  // goes before its loop does
  world.client->start({.cmd = "get"}, std::make_unique<Keeping>(kept));
  world.settle();
  world.wire->send(frame_bytes(R"({"id":1,"status":"ok","data_size":8000000})"));
  world.wire->send_in_pieces(std::string(7'000'000, 'x'), 65'536);
  world.settle();
  REQUIRE(world.wire->unread() > 0);
  for (int i = 0; i < 5; ++i) world.pass(Millis(900));
  CHECK(world.client->connected());
  while (world.wire->unread() > 0) {
    kept.clear();
    world.settle();
  }
  kept.clear();
  world.settle();
  for (int i = 0; i < 2; ++i) world.pass(Millis(500));
  CHECK_FALSE(world.client->connected());
}

TEST_CASE("a one-way request is not asked about, and may be slow on our side") {
  World world({.silence_timeout = Millis(1'000)});
  auto body = std::make_shared<Relay>(10);
  world.client->start_one_way({.cmd = "put", .body = std::shared_ptr<Source>(body)}, [](auto) {});
  body->push(Buffer::copy_of("01234"));
  for (int i = 0; i < 5; ++i) world.pass(Millis(900));
  CHECK(world.client->connected());
  CHECK(world.wire->take_received().find("ping") == std::string::npos);
  body->push(Buffer::copy_of("56789"));
  world.settle();
  CHECK(world.wire->take_received() == "56789");
}

TEST_CASE("a client that is destroyed ends its calls, and its callbacks may outlive it") {
  Outcome outcome;
  World world;
  CallHandle call = world.client->call({.cmd = "a"}, outcome.callback());
  world.settle();
  world.client.reset();
  REQUIRE(outcome.result);
  CHECK(outcome.result->error().code == Errc::unavailable);
  call.cancel();
  CHECK(world.wire->closed());
}

TEST_CASE("a connection that is refused, and a URL that is none, are errors that come later") {
  std::unique_ptr<Loop> loop = Loop::create().value();
  for (const char* url : {"tcp://127.0.0.1:1", "nonsense"}) {
    std::optional<Error> error;
    Client::connect(*loop, url, {}, [&](Result<std::unique_ptr<Client>> client) {
      REQUIRE_FALSE(client);
      error = client.error();
    });
    CHECK_FALSE(error);
    while (!error) loop->step_waiting();
    CHECK_FALSE(error->message.empty());
  }
}
