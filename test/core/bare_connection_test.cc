// SPDX-License-Identifier: MIT
// The wires raw, ready, prefix and header, from the bytes to the handler and back.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;
using namespace std::string_literals;

namespace {

// What happened, for those errors that no reply can say.
class Witness final : public Observer {
 public:
  void on_served(const Served& served) override {
    events.push_back("served " + std::string(served.code ? to_string(*served.code) : "ok") + " " +
                     std::to_string(served.body_in) + " " + std::to_string(served.body_out));
    message = served.message;
  }
  void on_refused(const Peer& /*peer*/, std::string_view cmd, const Error& error) override {
    events.push_back("refused " + std::string(cmd) + " " + std::string(to_string(error.code)));
    message = error.message;
  }
  void on_close(const Peer& /*peer*/, CloseReason reason, std::string_view /*detail*/,
                std::uint64_t /*in*/, std::uint64_t /*out*/) override {
    events.push_back("closed " + std::string(to_string(reason)));
  }

  std::vector<std::string> events;
  std::string message;
};

// Says the body back as it comes.
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

// An endless body of unknown or known size, a piece a pull.
class Letters : public Source {
 public:
  explicit Letters(std::uint64_t bytes, bool sized) : left_(bytes), sized_(sized), size_(bytes) {}
  Pulled pull(std::size_t room) override {
    if (left_ == 0) return Done{Members().set("letters", size_)};
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>({room, left_, 1'000}));
    left_ -= size;
    return Piece{Buffer::own(std::string(size, 'x'))};
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override {
    return sized_ ? std::optional(size_) : std::nullopt;
  }

 private:
  std::uint64_t left_;
  bool sized_;
  std::uint64_t size_;
};

SharedFd sparse_file(std::uint64_t size) {
  char name[] = "/tmp/cleave-bare-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  REQUIRE(::unlink(name) == 0);
  REQUIRE(::ftruncate(fd, static_cast<off_t>(size)) == 0);
  return std::make_shared<const Fd>(fd);
}

struct World {
  Witness witness;
  std::vector<CancelReason> cancelled;
  SharedFd file = sparse_file(3'000'000'000);
  TestServer test{[this](Router& router, Loop&) { add(router); }, {.observer = &witness}};
  std::optional<ReplyToken> kept;  // goes before the loop

  void add(Router& router) {
    router.add("twice", {.summary = "the body, twice", .body_bytes = 10},
               collected([](const Request& request, std::string_view body,
                            ReplyWriter& reply) -> Result<void> {
                 CHECK(request.cmd() == "twice");
                 CHECK(request.header().json() == "{}");
                 CHECK(request.body_size() == body.size());
                 CHECK_FALSE(request.has_id());
                 if (body == "fail") return fail(Errc::not_found, "there is no such thing");
                 reply.append(body).append(body);
                 return {};
               }));
    router.add("told", {.summary = "a reply with a member"},
               collected([](const Request&, std::string_view body) -> Result<Reply> {
                 return Reply{Members().set("seen", body), Buffer::copy_of("body"), {}};
               }));
    router.add("keep", {.summary = "keeps its token"},
               later([this](const Request&, Buffer, ReplyToken token) {
                 kept = std::move(token);
                 kept->on_cancel([this](CancelReason reason) { cancelled.push_back(reason); });
               }));
    const Route echo = streaming([](const Request& request, ReplyToken token) {
      return std::make_shared<Echo>(request, std::move(token));
    });
    router.add("echo", {.summary = "the body", .message = echo}, echo);
    router.add("streams", {.summary = "has no form for messages"}, echo);
    router.add("needs", {.summary = "needs a name", .arguments = {{.name = "n", .required = true}}},
               collected([](const Request&, std::string_view) { return Result<Reply>(Reply{}); }));
    router.add("needs_too",
               {.summary = "needs a name, and has a shortcut",
                .arguments = {{.name = "n", .required = true}},
                .whole = collected(
                    [](const Request&, std::string_view) { return Result<Reply>(Reply{}); })},
               echo);
    router.add("file", {.summary = "a part of a file"},
               collected([this](const Request&, std::string_view body) -> Result<Reply> {
                 return Reply{{}, FileRange{file, 0, std::stoull(std::string(body))}, {}};
               }));
    router.add(
        "stubborn", {.summary = "a source that wants to end by itself, and cannot"},
        collected([](const Request&, std::string_view body) -> Result<Reply> {
          class Stubborn final : public Letters {
           public:
            using Letters::Letters;
            bool cancel(CancelReason /*reason*/) override { return true; }
          };
          return Reply{{}, std::make_shared<Stubborn>(std::stoull(std::string(body)), true), {}};
        }));
    router.add(
        "letters", {.summary = "so many letters, of a size that is not known"},
        collected([](const Request&, std::string_view body) -> Result<Reply> {
          return Reply{{}, std::make_shared<Letters>(std::stoull(std::string(body)), false), {}};
        }));
    router.add(
        "sized", {.summary = "so many letters, of a size that is known"},
        collected([](const Request&, std::string_view body) -> Result<Reply> {
          return Reply{{}, std::make_shared<Letters>(std::stoull(std::string(body)), true), {}};
        }));
  }

  TestPeer connect(Wire wire, std::string cmd) {
    return test.connect({.wire = wire, .cmd = std::move(cmd)});
  }
  // What comes back of one read.
  std::string ask(TestPeer& peer, std::string_view message) {
    peer.wire().send(message);
    test.settle();
    return peer.wire().take_received();
  }
};

constexpr Wire kBare[] = {Wire::raw, Wire::ready, Wire::prefix, Wire::header};

}  // namespace

// ---- Requests and replies -----------------------------------------------------------------------

TEST_CASE("on the wire raw each read is answered with a body") {
  World world;
  TestPeer peer = world.connect(Wire::raw, "twice");
  CHECK(world.ask(peer, "ab") == "abab");
  CHECK(world.ask(peer, "ä") == "ää");
  CHECK(world.witness.events == std::vector<std::string>{"served ok 2 4", "served ok 2 4"});
}

TEST_CASE("on the wire prefix the length comes first") {
  World world;
  TestPeer peer = world.connect(Wire::prefix, "twice");
  CHECK(world.ask(peer, "ab") == "\x04\0\0\0abab"s);
  CHECK(world.ask(peer, "c") == "\x02\0\0\0cc"s);
}

TEST_CASE("on the wire header the length comes in a header, with what the handler tells") {
  World world;
  TestPeer plain = world.connect(Wire::header, "twice");
  CHECK(world.ask(plain, "ab") == "\x0F\0\0\0{\"data_size\":4}abab"s);
  TestPeer told = world.connect(Wire::header, "told");
  CHECK(world.ask(told, "you") == "\x1C\0\0\0{\"data_size\":4,\"seen\":\"you\"}body"s);
}

TEST_CASE("on the wire ready the body comes when the client has said so") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "twice");
  CHECK(world.ask(peer, "ab") == "4");
  CHECK(world.witness.events.empty());
  CHECK(world.ask(peer, "recv_ready") == "abab");
  CHECK(world.witness.events == std::vector<std::string>{"served ok 2 4"});
  CHECK(world.ask(peer, "c") == "2");
  CHECK(world.ask(peer, "recv_ready") == "cc");
}

TEST_CASE("an empty result is announced and asked for as any other is") {
  World world;
  TestPeer prefix = world.connect(Wire::prefix, "letters");
  CHECK(world.ask(prefix, "0") == "\0\0\0\0"s);
  TestPeer ready = world.connect(Wire::ready, "letters");
  CHECK(world.ask(ready, "0") == "0");
  CHECK(world.ask(ready, "recv_ready").empty());
  CHECK(world.ask(ready, "1") == "1");
  CHECK(world.ask(ready, "recv_ready") == "x");
}

TEST_CASE("bodies of every kind go out behind every head") {
  World world;
  for (const char* cmd : {"file", "letters", "sized"}) {
    const std::string body(5'000, cmd == "file"s ? '\0' : 'x');
    TestPeer raw = world.connect(Wire::raw, cmd);
    CHECK(world.ask(raw, "5000") == body);
    CHECK(world.ask(raw, "5000") == body);
    TestPeer prefix = world.connect(Wire::prefix, cmd);
    CHECK(world.ask(prefix, "5000") == "\x88\x13\0\0"s + body);
    TestPeer header = world.connect(Wire::header, cmd);
    CHECK(world.ask(header, "5000").ends_with("}" + body));
    TestPeer ready = world.connect(Wire::ready, cmd);
    CHECK(world.ask(ready, "5000") == "5000");
    CHECK(world.ask(ready, "recv_ready") == body);
    CHECK(world.ask(ready, "5000") == "5000");
  }
}

TEST_CASE("a streaming handler for messages is fed as for any request") {
  World world;
  const std::string big(60'000, 'b');
  for (const Wire wire : kBare) {
    TestPeer peer = world.connect(wire, "echo");
    std::string got = world.ask(peer, big);
    if (wire == Wire::ready) got = world.ask(peer, "recv_ready");
    CHECK(got.ends_with(big));
  }
}

TEST_CASE("messages that come in one read behind each other's answer are not lost") {
  World world;
  TestPeer peer =
      world.test.connect({.wire = Wire::raw, .cmd = "twice", .options = {.packet_bytes = 2}});
  CHECK(world.ask(peer, "abcde") == "ababcdcdee");
}

TEST_CASE("a message waits until the one before it is answered") {
  World world;
  TestPeer peer = world.connect(Wire::raw, "keep");
  CHECK(world.ask(peer, "one") == "");
  CHECK(world.ask(peer, "two") == "");
  CHECK(peer.wire().unread() == 3);
  std::move(*world.kept).ok({}, Buffer::copy_of("first"));
  world.test.settle();
  CHECK(peer.wire().take_received() == "first");
  CHECK(peer.wire().unread() == 0);
}

// ---- recv_ready ---------------------------------------------------------------------------------

TEST_CASE("recv_ready is understood at every split, also with the next command behind it") {
  const std::string said = "recv_readycd";
  for (std::size_t at = 0; at <= said.size(); ++at) {
    CAPTURE(at);
    World world;
    TestPeer peer = world.connect(Wire::ready, "twice");
    REQUIRE(world.ask(peer, "ab") == "4");
    std::string got = world.ask(peer, said.substr(0, at));
    got += world.ask(peer, said.substr(at));
    if (at == said.size() - 1) {
      // A command that comes in two reads is two, on this wire.
      CHECK(got == "abab2");
    } else {
      CHECK(got == "abab4");
    }
  }
}

TEST_CASE("recv_ready that comes before the length is taken when its time has come") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "keep");
  CHECK(world.ask(peer, "ab") == "");
  CHECK(world.ask(peer, "recv_ready") == "");
  std::move(*world.kept).ok({}, Buffer::copy_of("late"));
  world.test.settle();
  CHECK(peer.wire().received() == "4late");
}

TEST_CASE("a client that says something else does not get the data, and may ask again") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "twice");
  CHECK(world.ask(peer, "ab") == "4");
  CHECK(world.ask(peer, "no thanks") == "");
  CHECK(world.witness.events == std::vector<std::string>{"served cancelled 2 0"});
  CHECK(world.ask(peer, "c") == "2");
  CHECK(world.ask(peer, "recv_ready") == "cc");
}

TEST_CASE("a result that is not asked for is dropped whatever it is made of") {
  for (const char* cmd : {"file", "letters", "sized"}) {
    World world;
    TestPeer peer = world.connect(Wire::ready, cmd);
    CHECK(world.ask(peer, "5000") == "5000");
    CHECK(world.ask(peer, "no") == "");
    CHECK(world.ask(peer, "7") == "7");
    CHECK(world.ask(peer, "recv_ready").size() == 7);
  }
}

TEST_CASE("a client that ends before it asks for its data is let go") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "twice");
  CHECK(world.ask(peer, "ab") == "4");
  peer.wire().send_end();
  world.test.settle();
  CHECK(peer.wire().closed());
  CHECK(world.witness.events ==
        std::vector<std::string>{"served cancelled 2 0", "closed finished"});
}

TEST_CASE(
    "a client that ends before its length is there can never ask, and has its request cancelled") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "keep");
  peer.wire().send("ab");
  peer.wire().send_end();
  world.test.settle();
  CHECK(world.cancelled == std::vector<CancelReason>{CancelReason::peer_gone});
  CHECK(peer.wire().received().empty());
  CHECK(peer.wire().closed());
}

TEST_CASE("a client that has said recv_ready before it ends gets its data") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "keep");
  peer.wire().send("ab");
  peer.wire().send("recv_ready");
  peer.wire().send_end();
  world.test.settle();
  REQUIRE(world.kept);
  std::move(*world.kept).ok({}, Buffer::copy_of("late"));
  world.test.settle();
  CHECK(peer.wire().received() == "4late");
  CHECK(peer.wire().closed());
  CHECK(world.witness.events == std::vector<std::string>{"served ok 2 4", "closed finished"});
}

TEST_CASE("a client that does not ask for its data within ready_timeout_ms is closed") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "twice");
  CHECK(world.ask(peer, "ab") == "4");
  world.test.advance(Millis(9'500));
  CHECK_FALSE(peer.wire().closed());
  world.test.advance(Millis(1'000));
  CHECK(peer.wire().closed());
  CHECK(world.witness.events.back() == "closed timed_out");
}

TEST_CASE(
    "data that are not asked for do not hold up a drain, and nothing has to be cancelled for it") {
  for (const char* cmd : {"file", "letters", "sized", "stubborn"}) {
    World world;
    TestPeer peer = world.connect(Wire::ready, cmd);
    CHECK(world.ask(peer, "5000") == "5000");
    std::optional<bool> clean;
    world.test.server()->drain([&clean](bool was_clean) { clean = was_clean; });
    world.test.advance(Millis(1'000));
    CHECK(peer.wire().closed());
    CHECK(clean == true);
  }
}

TEST_CASE("a client that asks for its data while the server drains gets them") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "twice");
  CHECK(world.ask(peer, "ab") == "4");
  world.test.server()->drain([](bool) {});
  CHECK(world.ask(peer, "recv_ready") == "abab");
  CHECK(peer.wire().ended());
}

TEST_CASE("a request that runs when the server drains too long is cancelled on every wire") {
  for (const Wire wire : kBare) {
    World world;
    TestPeer peer = world.connect(wire, "keep");
    CHECK(world.ask(peer, "x").empty());
    world.test.server()->drain([](bool) {});
    world.test.advance(Millis(29'000));
    CHECK(world.cancelled.empty());
    world.test.advance(Millis(1'500));
    CHECK(world.cancelled == std::vector<CancelReason>{CancelReason::draining});
    world.kept.reset();
    world.test.advance(Millis(1'000));
    CHECK(peer.wire().closed());
    CHECK(peer.wire().received().empty() == (wire != Wire::header));
  }
}

// ---- Errors -------------------------------------------------------------------------------------

TEST_CASE("on the wire header an error is said and the connection goes on") {
  World world;
  TestPeer peer = world.connect(Wire::header, "twice");
  CHECK(world.ask(peer, "fail") ==
        "\x56\0\0\0{\"data_size\":0,\"status\":\"error\",\"code\":\"not_found\",\"message\":"
        "\"there is no such thing\"}"s);
  CHECK(world.ask(peer, "ab") == "\x0F\0\0\0{\"data_size\":4}abab"s);
}

TEST_CASE("on the other wires an error ends the connection in order, and the observer is told") {
  for (const Wire wire : {Wire::raw, Wire::ready, Wire::prefix}) {
    World world;
    TestPeer peer = world.connect(wire, "twice");
    CHECK(world.ask(peer, "fail").empty());
    CHECK(peer.wire().ended());
    CHECK_FALSE(peer.wire().was_reset());
    CHECK(world.witness.events == std::vector<std::string>{"served not_found 4 0"});
    CHECK(world.witness.message == "there is no such thing");
    // What comes now is nobody's business.
    CHECK(world.ask(peer, "ab").empty());
    peer.wire().send_end();
    world.test.settle();
    CHECK(peer.wire().closed());
    CHECK(world.witness.events.back() == "closed broken_reply");
  }
}

TEST_CASE(
    "a message that is too long ends its connection, as its rest must not be taken for another") {
  for (const Wire wire : kBare) {
    CAPTURE(to_string(wire));
    World world;
    TestPeer peer = world.connect(wire, "twice");
    peer.wire().send("01234567890");
    peer.wire().send("rest");
    world.test.settle();
    CHECK(world.witness.events == std::vector<std::string>{"refused twice too_large"});
    CHECK(peer.wire().received().empty() == (wire != Wire::header));
    CHECK(peer.wire().ended());
    CHECK_FALSE(peer.wire().was_reset());
    CHECK(peer.wire().unread() == 0);
    peer.wire().send_end();
    world.test.settle();
    CHECK(peer.wire().closed());
  }
}

TEST_CASE("a read that is longer than a packet is one refused message where replies have lengths") {
  for (const Wire wire : {Wire::ready, Wire::prefix, Wire::header}) {
    World world;
    TestPeer peer =
        world.test.connect({.wire = wire, .cmd = "echo", .options = {.packet_bytes = 64}});
    (void)world.ask(peer, std::string(130, 'x'));
    CHECK(world.witness.events == std::vector<std::string>{"refused echo too_large"});
    CHECK(peer.wire().ended());
  }
}

TEST_CASE("what came behind a message that failed is not served where the error cannot be said") {
  World world;
  TestPeer peer =
      world.test.connect({.wire = Wire::raw, .cmd = "twice", .options = {.packet_bytes = 4}});
  CHECK(world.ask(peer, "failmore").empty());
  CHECK(world.witness.events == std::vector<std::string>{"served not_found 4 0"});
}

TEST_CASE("a result that the wire prefix cannot announce ends the connection and is logged") {
  World world;
  TestPeer peer = world.connect(Wire::prefix, "file");
  CHECK(world.ask(peer, "2147483648").empty());
  CHECK(peer.wire().ended());
  CHECK_FALSE(peer.wire().was_reset());
  CHECK(world.witness.events.front() == "served too_large 10 0");
  CHECK(world.witness.message.find("2147483647") != std::string::npos);
}

TEST_CASE("a file that shrinks before its data are asked for breaks the connection, and says why") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "file");
  CHECK(world.ask(peer, "5000") == "5000");
  REQUIRE(::ftruncate(world.file->get(), 10) == 0);
  CHECK(world.ask(peer, "recv_ready").empty());
  CHECK(peer.wire().was_reset());
  CHECK(world.witness.events.front().starts_with("served io_error"));
  CHECK(world.witness.message == "the file became shorter while it was sent");
}

TEST_CASE("the longest result that the wire prefix can announce is sent") {
  World world;
  TestPeer peer = world.connect(Wire::prefix, "file");
  peer.wire().set_room(4 + 1'000);
  CHECK(world.ask(peer, "2147483647") == "\xFF\xFF\xFF\x7F" + std::string(1'000, '\0'));
  peer.wire().reset();
  world.test.settle();
}

TEST_CASE("a token that is dropped answers on the wire header, and ends the others") {
  for (const Wire wire : kBare) {
    World world;
    TestPeer peer = world.connect(wire, "keep");
    CHECK(world.ask(peer, "x").empty());
    world.kept.reset();  // dropped without an answer: internal
    world.test.settle();
    CHECK(world.witness.events.front() == "served internal 1 0");
    CHECK(peer.wire().received().empty() == (wire != Wire::header));
    CHECK(peer.wire().ended() == (wire != Wire::header));
  }
}

// ---- Ends ---------------------------------------------------------------------------------------

TEST_CASE("a half-close after a message is answered, and then the server closes") {
  for (const Wire wire : {Wire::raw, Wire::prefix, Wire::header}) {
    World world;
    TestPeer peer = world.connect(wire, "twice");
    peer.wire().send("ab");
    peer.wire().send_end();
    world.test.settle();
    CHECK(peer.wire().received().ends_with("abab"));
    CHECK(peer.wire().closed());
    CHECK(world.witness.events.back() == "closed finished");
  }
}

TEST_CASE("a client that vanishes while its request runs has it cancelled") {
  for (const Wire wire : kBare) {
    World world;
    TestPeer peer = world.connect(wire, "keep");
    CHECK(world.ask(peer, "x").empty());
    peer.wire().reset();
    world.test.settle();
    CHECK(world.cancelled == std::vector<CancelReason>{CancelReason::peer_gone});
    CHECK(world.witness.events == std::vector<std::string>{"served cancelled 1 0", "closed reset"});
  }
}

TEST_CASE("a client that vanishes in the middle of its data is noticed") {
  for (const Wire wire : kBare) {
    World world;
    TestPeer peer = world.connect(wire, "sized");
    peer.wire().set_room(100);
    (void)world.ask(peer, "1000000");
    if (wire == Wire::ready) (void)world.ask(peer, "recv_ready");
    peer.wire().reset();
    world.test.settle();
    CHECK(peer.wire().closed());
    CHECK(world.witness.events.back() == "closed reset");
  }
}

TEST_CASE("a long result goes out at the pace of its reader, once that has said recv_ready") {
  World world;
  TestPeer peer = world.connect(Wire::ready, "sized");
  peer.wire().set_room(8);
  CHECK(world.ask(peer, "90000000") == "90000000");
  CHECK(world.ask(peer, "recv_ready") == "");
  peer.wire().set_room(1'000'000);
  world.test.settle();
  CHECK(peer.wire().received().size() == 1'000'000);
  peer.wire().set_room(100'000'000);
  world.test.settle();
  while (peer.wire().received().size() < 90'000'000) world.test.settle();
  CHECK(peer.wire().received().size() == 90'000'000);
  CHECK(world.witness.events == std::vector<std::string>{"served ok 8 90000000"});
}

TEST_CASE(
    "a connection that is not taken in is told so on the wire header, and closed on the others") {
  Witness witness;
  TestServer test(
      [](Router& router, Loop&) {
        router.add(
            "x", {.summary = "x"},
            collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
      },
      {.limits = {.max_connections = 1}, .observer = &witness});
  TestPeer first = test.connect();
  for (const Wire wire : kBare) {
    TestPeer peer = test.connect({.wire = wire, .cmd = "x"});
    test.settle();
    CHECK(peer.wire().closed());
    const std::string said = peer.wire().received();
    CHECK(said.empty() == (wire != Wire::header));
    if (wire == Wire::header) {
      CHECK(said.substr(4).starts_with(R"({"data_size":0,"status":"error","code":"busy")"));
    }
  }
}

// ---- What cannot be reached ---------------------------------------------------------------------

TEST_CASE("a bare wire needs a command that takes bare messages") {
  World world;
  const auto refusal = [&world](const char* url) {
    const auto bound = world.test.server()->listen(url);
    REQUIRE_FALSE(bound);
    CHECK(bound.error().code == Errc::invalid_argument);
    return bound.error().message;
  };
  const auto says = [](const std::string& sentence, std::string_view part) {
    return sentence.find(part) != std::string::npos;
  };
  CHECK(says(refusal("tcp://127.0.0.1:0?wire=raw"), "needs a command"));
  CHECK(says(refusal("tcp://127.0.0.1:0?wire=raw&cmd=nothing"), "there is no command 'nothing'"));
  CHECK(says(refusal("tcp://127.0.0.1:0?wire=ready&cmd=streams"), "bare messages"));
  CHECK(says(refusal("tcp://127.0.0.1:0?wire=header&cmd=needs"), "bare messages"));
  CHECK(says(refusal("tcp://127.0.0.1:0?wire=header&cmd=needs_too"), "bare messages"));
  CHECK(says(refusal("udp://127.0.0.1:0?wire=raw&cmd=twice"), "not offered to datagrams"));
}
