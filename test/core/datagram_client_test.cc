// SPDX-License-Identifier: MIT
#include "cleave/core/datagram_client.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cleave/core/file.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/manual_clock.h"
#include "cleave/testing/plain_client.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// A socket of 127.0.0.1 that takes datagrams and gives the answers that the test wants.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::uint16_t port = 0)
      : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  // The next datagram that has come; its sender gets the answers.
  std::optional<std::string> receive() {
    std::string datagram(70'000, '\0');
    socklen_t size = sizeof sender_;
    const ssize_t count = ::recvfrom(fd_.get(), datagram.data(), datagram.size(), 0,
                                     reinterpret_cast<sockaddr*>(&sender_), &size);
    if (count < 0) return std::nullopt;
    datagram.resize(static_cast<std::size_t>(count));
    return datagram;
  }
  void answer(std::string_view datagram) {
    REQUIRE(::sendto(fd_.get(), datagram.data(), datagram.size(), 0,
                     reinterpret_cast<sockaddr*>(&sender_), sizeof sender_) >= 0);
  }

 private:
  Fd fd_;
  std::uint16_t port_ = 0;
  sockaddr_in sender_ = {};
};

struct World {
  ManualClock clock;
  std::unique_ptr<Loop> loop = Loop::create({.clock = &clock}).value();
  std::optional<Result<Answer>> result;  // is told when the client goes
  std::unique_ptr<DatagramClient> client;

  explicit World(std::uint16_t port, const std::string& wire = "frame") {
    client =
        DatagramClient::create(*loop, "udp://127.0.0.1:" + std::to_string(port) + "?wire=" + wire)
            .value();
  }
  void ask(Call call) {
    result.reset();
    client->ask(std::move(call), [this](Result<Answer> answer) { result = std::move(answer); });
    CHECK_FALSE(result);
  }
  // Turns the loop until something is so; a minute at the most.
  [[nodiscard]] bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop->step();
    }
    return true;
  }
  // The next datagram that reaches the server.
  std::string received(ScriptedServer& server) {
    std::optional<std::string> datagram;
    REQUIRE(until([&] { return (datagram = server.receive()).has_value(); }));
    return *datagram;
  }
  Result<Answer> answer() {
    REQUIRE(until([this] { return result.has_value(); }));
    return *std::exchange(result, std::nullopt);
  }
};

Frame frame_of(std::string_view datagram) {
  HeaderParser parser;
  Decoder decoder(parser);
  auto event = decoder.next(datagram);
  REQUIRE(event);
  return {std::get<Decoder::Head>(*event).header, std::string(datagram)};
}

}  // namespace

TEST_CASE("a request is a frame with an id, and the frame that comes back is its answer") {
  ScriptedServer server;
  World world(server.port());
  world.ask({.cmd = "upper", .members = Members().set("n", 1), .body = Buffer::copy_of("grüß")});
  const Frame request = frame_of(world.received(server));
  CHECK(request.text("cmd") == "upper");
  CHECK(request.number("id") == 1);
  CHECK(request.number("n") == 1);
  CHECK(request.body == "grüß");
  server.answer(frame_bytes(R"({"id":1,"status":"ok","data_size":6})", "GRüß"));
  const Result<Answer> answer = world.answer();
  REQUIRE(answer);
  CHECK(answer->body == "GRüß");
  CHECK(answer->header->find("status"));
}

// A server's reply has at most three times the size of the request.
TEST_CASE("a short request is made so long that a reply of 1,440 bytes may come") {
  ScriptedServer server;
  World world(server.port());
  world.ask({.cmd = "ping"});
  const std::string ping = world.received(server);
  CHECK(ping.size() == 480);
  CHECK(frame_of(ping).text("cmd") == "ping");
  CHECK(frame_of(ping).body.empty());
  world.client->cancel();
  world.ask({.cmd = "echo", .body = Buffer::copy_of(std::string(479, 'x'))});
  const Frame echo = frame_of(world.received(server));
  CHECK(echo.header->json().back() == '}');
  CHECK(echo.body.size() == 479);
}

TEST_CASE("what is no reply to the request is ignored") {
  ScriptedServer server;
  World world(server.port());
  world.ask({.cmd = "ping"});
  (void)world.received(server);
  world.client->cancel();
  world.ask({.cmd = "ping"});
  (void)world.received(server);
  for (const std::string& datagram :
       {frame_bytes(R"({"id":1,"status":"ok"})"), frame_bytes(R"({"status":"ok"})"),
        frame_bytes(R"({"cmd":"ping","id":2})"),
        frame_bytes(R"({"id":2,"status":"ok","more":true})"),
        frame_bytes(R"({"id":2,"status":"ok","data_size":3})", "ab"),
        frame_bytes(R"({"id":2,"status":"ok","data_size":1})", "ab"),
        frame_bytes(R"({"id":2,"status":"ok"})") + frame_bytes("{}"), std::string("garbage"),
        std::string("\3"), std::string()}) {
    server.answer(datagram);
  }
  server.answer(frame_bytes(R"({"id":2,"status":"ok","data_size":4})", "pong"));
  const Result<Answer> answer = world.answer();
  REQUIRE(answer);
  CHECK(answer->body == "pong");
}

TEST_CASE("a request is sent again after 250 ms, 500 ms, 1 s, until a reply comes") {
  ScriptedServer server;
  World world(server.port());
  world.ask({.cmd = "ping"});
  const std::string first = world.received(server);
  for (const int pause : {250, 500, 1'000, 2'000}) {
    world.clock.advance(Millis(pause - 1));
    for (int i = 0; i < 8; ++i) world.loop->step();
    CHECK_FALSE(server.receive());
    world.clock.advance(Millis(1));
    CHECK(world.received(server) == first);
  }
  server.answer(frame_bytes(R"({"id":1,"status":"ok"})"));
  CHECK(world.answer().has_value());
  world.clock.advance(Millis(60'000));
  for (int i = 0; i < 8; ++i) world.loop->step();
  CHECK_FALSE(server.receive());
}

TEST_CASE("a client may start before its server") {
  std::optional<ScriptedServer> server(std::in_place);
  const std::uint16_t port = server->port();
  server.reset();
  World world(port, "raw");
  world.ask({.cmd = "upper", .body = Buffer::copy_of("early")});
  for (int i = 0; i < 8; ++i) world.loop->step();
  CHECK_FALSE(world.result);
  world.clock.advance(Millis(250));  // the system tells of the first one, and the second is lost
  for (int i = 0; i < 8; ++i) world.loop->step();
  CHECK_FALSE(world.result);
  server.emplace(port);
  world.clock.advance(Millis(500));
  CHECK(world.received(*server) == "early");
  server->answer("EARLY");
  CHECK(world.answer()->body == "EARLY");
}

TEST_CASE("a request without a reply ends at its time, with the tries that were made") {
  ScriptedServer server;
  World world(server.port());
  const std::string url = "udp://127.0.0.1:" + std::to_string(server.port()) + "?wire=frame";
  world.ask({.cmd = "ping", .timeout = Millis(600)});
  (void)world.received(server);
  world.clock.advance(Millis(250));
  (void)world.received(server);
  world.clock.advance(Millis(349));
  for (int i = 0; i < 8; ++i) world.loop->step();
  CHECK_FALSE(world.result);
  world.clock.advance(Millis(1));
  CHECK(world.answer().error() ==
        Error{Errc::deadline_exceeded, "no reply came from " + url + "; datagrams sent: 2"});

  world.ask({.cmd = "ping"});
  for (int i = 0; i < 100 && !world.result; ++i) {
    world.clock.advance(Millis(100));
    world.loop->step();
  }
  CHECK(world.answer().error().code == Errc::unavailable);
}

TEST_CASE("that nobody listens is said when the time is up, and not before") {
  std::optional<ScriptedServer> server(std::in_place);
  World world(server->port());
  server.reset();
  world.ask({.cmd = "ping", .timeout = Millis(300)});
  for (int i = 0; i < 8; ++i) world.loop->step();
  CHECK_FALSE(world.result);
  world.clock.advance(Millis(300));
  const Error error = world.answer().error();
  CHECK(error.code == Errc::deadline_exceeded);
  CHECK(error.message.ends_with("; datagrams sent: 1; the last error was: Connection refused"));
}

TEST_CASE("a raw message is a datagram as it is, and so is its reply, empty or not") {
  ScriptedServer server;
  World world(server.port(), "raw");
  for (const auto& [message, reply] : {std::pair<std::string, std::string>("粘包", "\xd5\xb3"),
                                       std::pair<std::string, std::string>("x", ""),
                                       std::pair<std::string, std::string>("", "y")}) {
    world.ask({.cmd = "upper", .body = Buffer::copy_of(message)});
    CHECK(world.received(server) == message);
    server.answer(reply);
    const Result<Answer> answer = world.answer();
    REQUIRE(answer);
    CHECK(answer->body == reply);
    CHECK_FALSE(answer->header);
  }
}

TEST_CASE("a late raw reply to an earlier request does not reach the next one") {
  ScriptedServer server;
  World world(server.port(), "raw");
  world.ask({.cmd = "upper", .body = Buffer::copy_of("first")});
  (void)world.received(server);
  world.client->cancel();
  world.ask({.cmd = "upper", .body = Buffer::copy_of("second")});
  server.answer("FIRST");  // to where the first came from
  CHECK(world.received(server) == "second");
  server.answer("SECOND");
  CHECK(world.answer()->body == "SECOND");
}

TEST_CASE("an error reply is the request's error") {
  ScriptedServer server;
  World world(server.port());
  world.ask({.cmd = "exec"});
  (void)world.received(server);
  server.answer(
      frame_bytes(R"({"id":1,"status":"error","code":"unknown_command","message":"not here"})"));
  CHECK(world.answer().error() == Error{Errc::unknown_command, "not here"});
}

TEST_CASE("what does not fit a datagram is refused before anything is sent") {
  ScriptedServer server;
  World world(server.port(), "raw");
  world.ask({.cmd = "echo", .body = Buffer::copy_of(std::string(65'508, 'x'))});
  CHECK(world.answer().error() ==
        Error{Errc::too_large, "the request has 65508 bytes, and a datagram holds 65507"});
  world.ask({.cmd = "echo", .body = std::make_shared<Relay>()});
  CHECK(world.answer().error().code == Errc::invalid_argument);
  world.ask({.cmd = "echo", .body = Buffer::copy_of(std::string(65'507, 'x'))});
  CHECK(world.received(server).size() == 65'507);
  world.client->cancel();
  CHECK(world.answer().error().code == Errc::cancelled);
}

TEST_CASE("one request at a time") {
  ScriptedServer server;
  World world(server.port());
  world.ask({.cmd = "ping"});
  std::optional<Errc> refusal;
  world.client->ask({.cmd = "ping"}, [&](Result<Answer> answer) { refusal = answer.error().code; });
  CHECK(world.until([&] { return refusal.has_value(); }));
  CHECK(refusal == Errc::failed_precondition);
  CHECK_FALSE(world.result);
}

TEST_CASE("a client may be destroyed by the answer, and before it") {
  ScriptedServer server;
  World world(server.port());
  bool answered = false;
  world.client->ask({.cmd = "ping"}, [&](Result<Answer> answer) {
    world.client.reset();
    answered = answer.has_value();
  });
  (void)world.received(server);
  server.answer(frame_bytes(R"({"id":1,"status":"ok"})"));
  CHECK(world.until([&] { return answered; }));

  World other(server.port());
  other.ask({.cmd = "ping"});
  other.client.reset();
  CHECK(other.answer().error().code == Errc::unavailable);
}

TEST_CASE("only addresses of datagrams are taken") {
  const std::unique_ptr<Loop> loop = Loop::create().value();
  CHECK(DatagramClient::create(*loop, "tcp://127.0.0.1:1").error().code == Errc::invalid_argument);
  CHECK(DatagramClient::create(*loop, "udp://127.0.0.1:1?wire=prefix").error().code ==
        Errc::invalid_argument);
}
