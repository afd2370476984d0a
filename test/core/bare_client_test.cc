// SPDX-License-Identifier: MIT
#include "cleave/core/bare_client.h"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/manual_clock.h"
#include "cleave/testing/memory_stream.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// What a message came to.
struct Noted {
  std::string headers;
  std::string body;
  std::optional<Result<void>> outcome;
  bool had_header = false;  // at the end

  [[nodiscard]] bool ok() const { return outcome && outcome->has_value(); }
  [[nodiscard]] Error error() const {
    REQUIRE(outcome);
    REQUIRE_FALSE(outcome->has_value());
    return outcome->error();
  }
};

// Writes down a reply, which outlives its client.
class Noting final : public ReplyHandler {
 public:
  explicit Noting(Noted& reply) : reply_(reply) {}
  void on_frame(const Header& header) override { reply_.headers += header.json(); }
  void on_body(Chunk chunk) override { reply_.body += chunk.bytes(); }
  void on_end(Result<void> outcome, const Header* header) override {
    CHECK_FALSE(reply_.outcome);
    reply_.outcome = std::move(outcome);
    reply_.had_header = header != nullptr;
  }

 private:
  Noted& reply_;
};

// A client whose server is the test.
struct World {
  ManualClock clock;
  std::unique_ptr<Loop> loop = Loop::create({.clock = &clock}).value();
  std::optional<MemoryPeer> wire;
  std::unique_ptr<BareClient> client;

  explicit World(Wire kind, const ClientOptions& options = {}) {
    MemoryStream::Pair pair = MemoryStream::make(*loop);
    wire.emplace(std::move(pair.peer));
    client = std::make_unique<BareClient>(*loop, std::move(pair.stream), kind, options);
  }
  void settle() {
    for (int i = 0; i < 32; ++i) loop->step();
  }
  void ask(Noted& reply, std::string_view message, std::optional<std::uint64_t> size = {}) {
    client->ask(Buffer::copy_of(message), std::make_unique<Noting>(reply), size);
    settle();
  }
  void send(std::string_view piece) {
    wire->send(piece);
    settle();
  }
  void end() {
    wire->send_end();
    settle();
  }
};

const std::string kReady(kReadyAnswer);

}  // namespace

TEST_CASE("a message goes out as it is, and its reply may be cut anywhere") {
  struct Example {
    Wire wire;
    std::string reply;
    std::optional<std::uint64_t> size;
  };
  for (const Example& example :
       {Example{Wire::raw, "HELLO", 5}, Example{Wire::prefix, length_bytes(5) + "HELLO", {}},
        Example{Wire::header, frame_bytes(R"({"data_size": 5})", "HELLO"), {}}}) {
    CAPTURE(to_string(example.wire));
    for (std::size_t at = 0; at <= example.reply.size(); ++at) {
      Noted reply;
      World world(example.wire);
      world.ask(reply, "hello", example.size);
      CHECK(world.wire->received() == "hello");
      CHECK_FALSE(reply.outcome);
      world.wire->send(example.reply.substr(0, at));
      world.send(example.reply.substr(at));
      CHECK(reply.ok());
      CHECK(reply.body == "HELLO");
      CHECK(reply.had_header == (example.wire == Wire::header));
      CHECK(world.client->connected());
      CHECK_FALSE(world.wire->ended());
    }
  }
}

TEST_CASE("a connection carries one message after the other") {
  for (const Wire wire : {Wire::raw, Wire::ready, Wire::prefix, Wire::header}) {
    CAPTURE(to_string(wire));
    World world(wire);
    for (const std::string body : {"one", "three", "1234"}) {
      Noted reply;
      world.ask(reply, "x", body.size());
      if (wire == Wire::ready) world.send(std::to_string(body.size()));
      if (wire == Wire::prefix) world.send(length_bytes(static_cast<std::uint32_t>(body.size())));
      if (wire == Wire::header) {
        world.send(frame_bytes("{\"data_size\":" + std::to_string(body.size()) + "}"));
      }
      CHECK_FALSE(reply.outcome);
      world.send(body);
      CHECK(reply.ok());
      CHECK(reply.body == body);
      CHECK(world.wire->take_received() == (wire == Wire::ready ? "x" + kReady : "x"));
    }
    CHECK(world.client->connected());
  }
}

TEST_CASE("recv_ready is said when the length has come, and the data may be cut anywhere") {
  for (std::size_t at = 0; at <= 5; ++at) {
    Noted reply;
    World world(Wire::ready);
    world.ask(reply, "ls");
    CHECK(world.wire->take_received() == "ls");
    world.send("5");
    CHECK(world.wire->take_received() == kReady);
    world.wire->send(std::string("12345").substr(0, at));
    world.send(std::string("12345").substr(at));
    CHECK(reply.ok());
    CHECK(reply.body == "12345");
  }
}

TEST_CASE("after an empty ready reply the connection ends, as recv_ready would stick") {
  Noted reply;
  Noted next;
  World world(Wire::ready);
  world.ask(reply, "true");
  world.send("0");
  CHECK(reply.ok());
  CHECK(reply.body.empty());
  CHECK(world.wire->received() == "true" + kReady);
  CHECK(world.wire->ended());
  CHECK_FALSE(world.wire->was_reset());
  CHECK_FALSE(world.client->connected());
  world.ask(next, "ls");
  CHECK(next.error().code == Errc::unavailable);
}

TEST_CASE("a raw reply of unknown size goes to the end of the connection") {
  Noted reply;
  World world(Wire::raw);
  world.ask(reply, "ls");
  CHECK(world.wire->received() == "ls");
  CHECK(world.wire->ended());
  CHECK_FALSE(world.wire->closed());
  world.send("a\n");
  world.send("b\n");
  CHECK_FALSE(reply.outcome);
  world.end();
  CHECK(reply.ok());
  CHECK(reply.body == "a\nb\n");
  CHECK_FALSE(world.client->connected());
}

TEST_CASE("a server that goes in the middle is unavailable, with what was expected and what came") {
  struct Example {
    Wire wire;
    std::string came;
    std::string told;
    std::optional<std::uint64_t> size = {};
  };
  for (const Example& example : {
           Example{Wire::raw, "", "expected 5 bytes, 0 bytes came", 5},
           Example{Wire::raw, "HEL", "expected 5 bytes, 3 bytes came", 5},
           Example{Wire::ready, "", "expected a length in decimal digits, nothing came"},
           Example{Wire::ready, "7", "expected 7 bytes, 0 bytes came"},
           Example{Wire::prefix, std::string("\5\0", 2), "expected a length of 4 bytes, 2 came"},
           Example{Wire::prefix, length_bytes(5) + "H", "expected 5 bytes, 1 byte came"},
           Example{Wire::header, "", "expected a length and a header, nothing came"},
           Example{Wire::header, frame_bytes(R"({"data_size":5})", "HELL"),
                   "expected 5 bytes, 4 bytes came"},
       }) {
    for (const bool reset : {false, true}) {
      CAPTURE(example.told);
      CAPTURE(reset);
      Noted reply;
      World world(example.wire);
      world.ask(reply, "hello", example.size);
      world.send(example.came);
      if (reset) {
        world.wire->reset();
      } else {
        world.wire->send_end();
      }
      world.settle();
      CHECK(reply.error().code == Errc::unavailable);
      CHECK(reply.error().message == (reset
                                          ? "the connection broke, the peer reset the connection: "
                                          : "the server closed the connection: ") +
                                         example.told);
      CHECK_FALSE(world.client->connected());
    }
  }
}

TEST_CASE("a raw reply of unknown size is not complete when the message was not sent") {
  Noted reply;
  World world(Wire::raw);
  world.wire->set_room(3);
  world.ask(reply, "a long line");
  world.send("part");
  world.end();
  CHECK(reply.error() == Error{Errc::unavailable,
                               "the server closed the connection: expected a reply, 4 bytes came"});
}

TEST_CASE("a wrong length is a protocol_error, and resets the connection") {
  struct Example {
    Wire wire;
    std::string reply;
    std::string told;
  };
  for (const Example& example : {
           Example{Wire::raw, "HELLO!",
                   "the server sent more bytes than its reply has, 1 too many"},
           Example{Wire::prefix, length_bytes(3) + "HELLO",
                   "the server sent more bytes than its reply has, 2 too many"},
           Example{Wire::header, frame_bytes(R"({"data_size":0})", "HELLO"),
                   "the server sent more bytes than its reply has, 5 too many"},
           Example{Wire::prefix, length_bytes(0x80000005) + "HELLO",
                   "the server's reply makes no sense: the wire prefix begins a reply with its "
                   "length, a signed number of 4 bytes, and -2147483643 came"},
           Example{Wire::ready, "5 bytes",
                   "the server's reply makes no sense: the wire ready begins a reply with its "
                   "length, 1 to 20 decimal digits, and this came: \"5 bytes\" (7 bytes)"},
       }) {
    Noted reply;
    World world(example.wire);
    world.ask(reply, "hello", 5);
    world.send(example.reply);
    CHECK(reply.error() == Error{Errc::protocol_error, example.told});
    CHECK(world.wire->was_reset());
  }
}

TEST_CASE("bytes that nobody has asked for end the connection") {
  World world(Wire::prefix);
  world.send("x");
  CHECK_FALSE(world.client->connected());
  CHECK(world.wire->was_reset());
}

TEST_CASE("a server that answers a part of a message is not understood") {
  Noted reply;
  World world(Wire::prefix);
  world.wire->set_room(3);
  world.ask(reply, "a long line");
  world.send(length_bytes(2) + "no");
  CHECK(reply.error() ==
        Error{Errc::protocol_error, "the server answered before it had the whole message"});
  CHECK(world.wire->was_reset());
}

TEST_CASE("a raw reply may begin while its message is being sent") {
  Noted reply;
  World world(Wire::raw, {.output_bytes = 1'000});
  world.wire->set_room(3'000);
  const std::string message(10'000, 'a');
  world.ask(reply, message, message.size());
  world.send(std::string(3'000, 'A'));
  CHECK(reply.body.size() == 3'000);
  world.wire->set_room(100'000);
  world.settle();
  CHECK(world.wire->received() == message);
  world.send(std::string(7'000, 'A'));
  CHECK(reply.ok());
}

TEST_CASE("an error that a header says is the message's, and the next one goes on") {
  Noted reply;
  Noted next;
  World world(Wire::header);
  world.ask(reply, "exit");
  world.send(frame_bytes(
      R"({"status":"error","code":"permission_denied","message":"exec is off","data_size":3})",
      "out"));
  CHECK(reply.error() == Error{Errc::permission_denied, "exec is off"});
  CHECK(reply.had_header);
  CHECK(reply.body == "out");
  world.ask(next, "exit 3");
  world.send(frame_bytes(R"({"data_size":0,"exit_code":3})"));
  CHECK(next.ok());
  CHECK(next.headers == R"({"data_size":0,"exit_code":3})");
}

TEST_CASE("an empty message, and one too early, are refused and leave the connection alone") {
  Noted empty;
  Noted first;
  Noted early;
  World world(Wire::prefix);
  world.ask(empty, "");
  CHECK(empty.error().code == Errc::invalid_argument);
  world.ask(first, "a");
  world.ask(early, "b");
  CHECK(early.error().code == Errc::failed_precondition);
  CHECK(world.wire->received() == "a");
  world.send(length_bytes(1) + "A");
  CHECK(first.ok());
}

TEST_CASE("a reply that is kept slows the server down") {
  class Keeping final : public ReplyHandler {
   public:
    explicit Keeping(std::vector<Buffer>& kept) : kept_(kept) {}
    void on_body(Chunk chunk) override { kept_.push_back(std::move(chunk).keep()); }
    void on_end(Result<void> /*outcome*/, const Header* /*header*/) override {}

   private:
    std::vector<Buffer>& kept_;
  };
  constexpr std::size_t kSize = 16 * 1024 * 1024;
  World world(Wire::prefix);
  std::vector<Buffer> kept;  // goes before the loop does
  world.client->ask(Buffer::copy_of("cat"), std::make_unique<Keeping>(kept));
  world.wire->send(length_bytes(kSize));
  world.wire->send_in_pieces(std::string(kSize, 'x'), 64 * 1024);
  world.settle();
  const std::size_t unread = world.wire->unread();
  CHECK(unread > kSize / 2);
  world.settle();
  CHECK(world.wire->unread() == unread);
  kept.clear();
  world.settle();
  CHECK(world.wire->unread() < unread);
}

TEST_CASE("a client may be destroyed by the handler of a reply that is being given") {
  class Destroying final : public ReplyHandler {
   public:
    explicit Destroying(World& world) : world_(world) {}
    void on_body(Chunk chunk) override {
      world_.client.reset();
      size_ += chunk.size();  // the handler itself lives until its call has returned
    }
    void on_end(Result<void> outcome, const Header* /*header*/) override { CHECK_FALSE(outcome); }

   private:
    World& world_;
    std::size_t size_ = 0;
  };
  World world(Wire::raw);
  world.client->ask(Buffer::copy_of("x"), std::make_unique<Destroying>(world), 2);
  world.settle();
  world.send("ab");
  CHECK(world.wire->closed());
}

TEST_CASE("a reset ends the reply as cancelled") {
  Noted reply;
  World world(Wire::header);
  world.ask(reply, "sleep 100");
  world.client->reset();
  CHECK(reply.error().code == Errc::cancelled);
  CHECK(world.wire->was_reset());
}

TEST_CASE("connecting is refused for addresses of other wires, and for those that are none") {
  std::unique_ptr<Loop> loop = Loop::create().value();
  for (const std::string_view url :
       {"tcp://127.0.0.1:1", "udp://127.0.0.1:1?wire=raw", "nonsense"}) {
    std::optional<Errc> refusal;
    BareClient::connect(*loop, url, {}, [&](Result<std::unique_ptr<BareClient>> client) {
      REQUIRE_FALSE(client);
      refusal = client.error().code;
    });
    CHECK_FALSE(refusal);
    loop->run();
    CHECK(refusal == Errc::invalid_argument);
  }
}
