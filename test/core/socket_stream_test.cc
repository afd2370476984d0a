// SPDX-License-Identifier: MIT
#include "cleave/core/socket_stream.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/core/bound_socket.h"
#include "cleave/core/client.h"
#include "cleave/core/peer_credentials.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/core/socket_option.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  REQUIRE(loop.has_value());
  return std::move(*loop);
}

struct Connected {
  Fd ours;
  Fd theirs;
};

Connected local_pair() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

Connected tcp_pair(const std::function<void(int listener)>& prepare = [](int) {}) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  prepare(listener.get());
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listener.get(), any, size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), any, &size) == 0);
  Fd theirs(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(theirs.get(), any, size) == 0);
  Fd ours(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  REQUIRE(static_cast<bool>(ours));
  return {std::move(ours), std::move(theirs)};
}

void send(const Fd& fd, std::string_view bytes) {
  REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(bytes.size()));
}

// A stream over one end of a connection, and all that it tells.
class Watched : public Stream::Events {
 public:
  Watched(Loop& loop, Connected connected)
      : theirs(std::move(connected.theirs)),
        loop_(loop),
        stream(SocketStream::adopt(loop, std::move(connected.ours)).value()) {
    stream->set_events(this);
  }

  void on_ready(bool readable, bool writable) override {
    told += readable ? "r" : "";
    told += writable ? "w" : "";
    if (readable) read();
  }
  void on_hangup(bool gone) override { told += gone ? "G" : "h"; }

  // What one read gives: bytes, or in brackets what came instead.
  std::string read() {
    std::array<char, 64> bytes{};
    const Stream::Moved moved = stream->read(bytes);
    std::string got = "[blocked]";
    if (moved.outcome == Stream::Outcome::done) got.assign(bytes.data(), moved.bytes);
    if (moved.outcome == Stream::Outcome::end) got = "[end]";
    if (moved.outcome == Stream::Outcome::gone) got = "[gone]";
    input += got;
    return got;
  }

  // Reads whenever the stream says so, until something else than bytes comes.
  void read_to_the_end() {
    for (int i = 0; i < 10 && input.find(']') == std::string::npos; ++i) {
      stream->watch({.read = true});
      loop_.step();
    }
    told.clear();
  }

  // Everything that was told while a timer of 20 ms ran. If the loop does not sleep meanwhile but
  // comes round and round for this stream, it says so.
  std::string told_soon() {
    bool over = false;
    loop_.after(Millis(20), [&over] { over = true; });
    int turns = 0;
    while (!over) {
      loop_.step_waiting();
      ++turns;
    }
    CHECK(turns < 10);
    return std::exchange(told, {});
  }

  Fd theirs;

 private:
  Loop& loop_;

 public:
  std::unique_ptr<Stream> stream;
  std::string told;
  std::string input;
};

constexpr Stream::Interest kNothing = {};
constexpr Stream::Interest kRead = {.read = true};
constexpr Stream::Interest kWrite = {.write = true};
constexpr Stream::Interest kPaused = {.hangup = true};

}  // namespace

// ---- A local peer that closes -------------------------------------------------------------------

TEST_CASE("a local peer that closes while reading is paused loses nothing that it sent") {
  auto loop = make_loop();
  Watched local(*loop, local_pair());
  send(local.theirs, "last words");
  local.stream->watch(kPaused);
  CHECK(local.told_soon().empty());
  local.theirs.reset();
  CHECK(local.told_soon() == "h");
  // What is watched after that, with input still unread, tells nothing more and costs nothing.
  for (int i = 0; i < 3; ++i) {
    local.stream->watch(kNothing);
    CHECK(local.told_soon().empty());
  }
  local.read_to_the_end();
  CHECK(local.input == "last words[end]");
  // Now that all was read, the peer has gone, and that is told once.
  local.stream->watch(kNothing);
  CHECK(local.told_soon() == "G");
  CHECK(local.told_soon().empty());
}

TEST_CASE("a local peer that closes while nothing is watched costs nothing") {
  auto loop = make_loop();
  Watched local(*loop, local_pair());
  local.stream->watch(kNothing);
  send(local.theirs, "unread");
  local.theirs.reset();
  CHECK(local.told_soon().empty());
  CHECK(local.read() == "unread");
  CHECK(local.read() == "[end]");
  local.stream->watch(kNothing);
  CHECK(local.told_soon() == "G");
}

TEST_CASE("a local peer's half-close is no end of it, and costs nothing") {
  auto loop = make_loop();
  Watched local(*loop, local_pair());
  REQUIRE(::shutdown(local.theirs.get(), SHUT_WR) == 0);
  local.stream->watch(kPaused);
  CHECK(local.told_soon() == "h");
  CHECK(local.read() == "[end]");
  local.stream->watch(kNothing);
  CHECK(local.told_soon().empty());
  // It still reads.
  const std::string_view piece = "answer";
  CHECK(local.stream->write({&piece, 1}).bytes == 6);
  local.stream->watch(kNothing);
  SUBCASE("closed after it has read all") {
    std::array<char, 16> bytes{};
    REQUIRE(::recv(local.theirs.get(), bytes.data(), bytes.size(), 0) == 6);
  }
  SUBCASE("closed without reading") {}
  local.theirs.reset();
  CHECK(local.told_soon() == "G");
  CHECK(local.told_soon().empty());
}

TEST_CASE("a local peer that closes after its half-close has gone only when its input was read") {
  auto loop = make_loop();
  Watched local(*loop, local_pair());
  send(local.theirs, "unread");
  REQUIRE(::shutdown(local.theirs.get(), SHUT_WR) == 0);
  local.stream->watch(kPaused);
  CHECK(local.told_soon() == "h");
  local.stream->watch(kNothing);
  CHECK(local.told_soon().empty());
  local.theirs.reset();
  CHECK(local.told_soon().empty());
  CHECK(local.read() == "unread");
  CHECK(local.read() == "[end]");
  local.stream->watch(kNothing);
  CHECK(local.told_soon() == "G");
}

TEST_CASE("what a local peer sent before it closed on our unread bytes is read, then it has gone") {
  auto loop = make_loop();
  Watched local(*loop, local_pair());
  const std::string_view piece = "nobody reads this";
  REQUIRE(local.stream->write({&piece, 1}).bytes == piece.size());
  send(local.theirs, "last words");
  SUBCASE("while it is read") {}
  SUBCASE("while reading is paused") {
    local.stream->watch(kPaused);
    local.theirs.reset();
    CHECK(local.told_soon() == "h");
    local.stream->watch(kNothing);
    CHECK(local.told_soon().empty());
  }
  local.theirs.reset();
  local.read_to_the_end();
  CHECK(local.input == "last words[gone]");
}

TEST_CASE("a local peer that has gone is told to a writer, whose write then fails") {
  auto loop = make_loop();
  Watched local(*loop, local_pair());
  // As much as it takes, so that it is waited for.
  const std::string_view piece = "much to read";
  while (local.stream->write({&piece, 1}).outcome == Stream::Outcome::done) {
  }
  local.stream->watch(kWrite);
  CHECK(local.told_soon().empty());
  local.theirs.reset();
  loop->step();
  CHECK((local.told == "w" || local.told == "G"));
  CHECK(local.stream->write({&piece, 1}).outcome == Stream::Outcome::gone);
}

// ---- A TCP peer that resets ---------------------------------------------------------------------

TEST_CASE("what a TCP peer sent before it reset the connection is read, then it has gone") {
  auto loop = make_loop();
  Watched tcp(*loop, tcp_pair());
  tcp.stream->watch(kRead);
  send(tcp.theirs, "last words");
  const linger now{.l_onoff = 1, .l_linger = 0};
  REQUIRE(::setsockopt(tcp.theirs.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  tcp.theirs.reset();
  tcp.read_to_the_end();
  CHECK(tcp.input == "last words[gone]");
}

TEST_CASE("a reset by a TCP peer is told at once while reading is paused") {
  auto loop = make_loop();
  Watched tcp(*loop, tcp_pair());
  send(tcp.theirs, "unread");
  tcp.stream->watch(kPaused);
  CHECK(tcp.told_soon().empty());
  const linger now{.l_onoff = 1, .l_linger = 0};
  REQUIRE(::setsockopt(tcp.theirs.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  tcp.theirs.reset();
  CHECK(tcp.told_soon() == "G");
}

TEST_CASE("a TCP peer's half-close is told once while reading is paused, and costs nothing") {
  auto loop = make_loop();
  Watched tcp(*loop, tcp_pair());
  REQUIRE(::shutdown(tcp.theirs.get(), SHUT_WR) == 0);
  tcp.stream->watch(kPaused);
  CHECK(tcp.told_soon() == "h");
  tcp.stream->watch(kNothing);
  CHECK(tcp.told_soon().empty());
}

// ---- Addresses, credentials, options ------------------------------------------------------------

TEST_CASE("a TCP stream knows the addresses of both ends") {
  auto loop = make_loop();
  auto [ours, theirs] = tcp_pair();
  const auto stream = SocketStream::adopt(*loop, std::move(ours)).value();
  const auto other = SocketStream::adopt(*loop, std::move(theirs)).value();
  CHECK(stream->peer().address.starts_with("127.0.0.1:"));
  CHECK(stream->peer().address == other->peer().local_address);
  CHECK(stream->peer().local_address == other->peer().address);
  CHECK_FALSE(stream->peer().credentials.has_value());
}

TEST_CASE("a local stream knows its path, and who is at the other end") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  Endpoint endpoint;
  endpoint.transport = Endpoint::Transport::local;
  endpoint.path = (scratch / "socket").string();
  Admission everybody;
  const auto listener = BoundSocket::open(endpoint, everybody);
  REQUIRE(listener.has_value());
  Result<std::unique_ptr<Stream>> client = fail(Errc::internal, "nothing came");
  const auto connector = SocketConnector::start(
      *loop, endpoint, Millis(10'000),
      [&](Result<std::unique_ptr<Stream>> stream) { client = std::move(stream); });
  while (!client && client.error().code == Errc::internal) loop->step_waiting();
  REQUIRE(client.has_value());
  Fd accepted(::accept4(listener->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const auto stream = SocketStream::adopt(*loop, std::move(accepted)).value();
  const Peer peer = stream->peer();
  CHECK(peer.address == "unix");
  CHECK(peer.local_address == endpoint.path);
  CHECK(peer.credentials == PeerCredentials{::getpid(), ::geteuid(), ::getegid()});
  CHECK((*client)->peer().address == "unix");
  CHECK((*client)->peer().local_address.empty());
}

TEST_CASE("where the system does not tell who the peer is, nobody is made up") {
  const Connected pair = local_pair();
  CHECK(peer_credentials(pair.ours.get()).has_value());
  CHECK_FALSE(peer_credentials(pair.ours.get(), true).has_value());
}

TEST_CASE("a TCP stream gives up a peer that acknowledges nothing, when it is told so") {
  auto loop = make_loop();
  auto [ours, theirs] = tcp_pair();
  const int fd = ours.get();
  const auto stream = SocketStream::adopt(*loop, std::move(ours)).value();
  CHECK(socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
  stream->give_up_after(Millis(5'000));
  CHECK(socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 5'000);
  stream->give_up_after(std::chrono::hours(24 * 365));
  CHECK(socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == std::numeric_limits<int>::max());
}

TEST_CASE("no_delay and keep_alive are set on a TCP stream, or not") {
  auto loop = make_loop();
  for (const bool on : {true, false}) {
    auto [ours, theirs] = tcp_pair();
    // As it comes from a listener that somebody else has made.
    set_socket_option(ours.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
    const int fd = ours.get();
    const auto stream =
        SocketStream::adopt(*loop, std::move(ours), {.no_delay = on, .keep_alive = on}).value();
    CHECK((socket_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0) == on);
    CHECK((socket_option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0) == on);
    if (!on) continue;
    const int silence = *socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                        *socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL) *
                            *socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT);
    CHECK(silence == 120);
  }
}

TEST_CASE("a TCP stream that was accepted has the options of its listener") {
  auto loop = make_loop();
  for (const bool on : {true, false}) {
    const SocketOptions options{.no_delay = on, .keep_alive = on};
    auto [ours, theirs] =
        tcp_pair([&](int listener) { SocketStream::set_tcp_options(listener, options); });
    const int fd = ours.get();
    const auto stream = SocketStream::accepted(*loop, std::move(ours), options).value();
    CHECK((socket_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0) == on);
    CHECK((socket_option(fd, SOL_SOCKET, SO_KEEPALIVE) != 0) == on);
    if (on) CHECK(socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 60);
  }
}

// ---- Connecting ---------------------------------------------------------------------------------

namespace {

std::optional<Error> connect_error(Loop& loop, const Endpoint& endpoint,
                                   Millis timeout = Millis(10'000)) {
  std::optional<Error> error;
  bool done = false;
  const auto connector = SocketConnector::start(loop, endpoint, timeout,
                                                [&](const Result<std::unique_ptr<Stream>>& stream) {
                                                  if (!stream) error = stream.error();
                                                  done = true;
                                                });
  CHECK_FALSE(done);
  while (!done) loop.step_waiting();
  return error;
}

}  // namespace

TEST_CASE("what cannot be connected to is an error that comes later, with a sentence") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  const std::string path = (scratch / "socket").string();
  const auto unix_url = Endpoint::parse("unix:" + path).value();
  CHECK(connect_error(*loop, unix_url) ==
        Error{Errc::unavailable,
              "cannot connect to unix:" + path + "?wire=frame: No such file or directory"});
  Endpoint long_one = unix_url;
  long_one.path += std::string(108, 'x');
  CHECK(connect_error(*loop, long_one).value().code == Errc::invalid_argument);
  CHECK(connect_error(*loop, Endpoint::parse("fd:3").value()).value().code ==
        Errc::invalid_argument);
  CHECK(connect_error(*loop, Endpoint::parse("udp://127.0.0.1:9").value()).value().code ==
        Errc::invalid_argument);
}

TEST_CASE("a stale socket refuses whoever connects") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  const auto endpoint = Endpoint::parse("unix:" + (scratch / "socket").string()).value();
  {
    const Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress address = SocketAddress::from(endpoint).value();
    REQUIRE(::bind(dead.get(), address.any(), address.size()) == 0);
  }
  const auto error = connect_error(*loop, endpoint);
  REQUIRE(error.has_value());
  CHECK(error->code == Errc::unavailable);
  CHECK(error->message.ends_with(": Connection refused"));
}

TEST_CASE(
    "where a local server has no room for a connection, one waits for it, up to the timeout") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  const auto endpoint =
      Endpoint::parse("unix:" + (scratch / "socket").string() + "?backlog=1").value();
  Admission everybody;
  const auto listener = BoundSocket::open(endpoint, everybody);
  REQUIRE(listener.has_value());
  // The backlog is the option's: the system takes one more than that, and then no more.
  CHECK_FALSE(connect_error(*loop, endpoint).has_value());
  CHECK_FALSE(connect_error(*loop, endpoint).has_value());
  CHECK(connect_error(*loop, endpoint, Millis(30)) ==
        Error{Errc::unavailable, "the server did not answer in time"});
  loop->after(Millis(15), [&] { Fd(::accept(listener->fd(), nullptr, nullptr)).reset(); });
  CHECK_FALSE(connect_error(*loop, endpoint).has_value());
}

TEST_CASE("a client's own socket has the options of its URL") {
  auto loop = make_loop();
  Admission everybody;
  const auto listener =
      BoundSocket::open(Endpoint::parse("tcp://127.0.0.1:0").value(), everybody).value();
  Endpoint endpoint = listener.endpoint();
  endpoint.options.receive_buffer = 8'192;
  endpoint.options.no_delay = false;
  std::unique_ptr<Stream> client;
  const auto connector = SocketConnector::start(
      *loop, endpoint, Millis(10'000),
      [&](Result<std::unique_ptr<Stream>> stream) { client = std::move(stream).value(); });
  while (!client) loop->step_waiting();
  // A stream does not give its descriptor away; it is the one that is connected there.
  int found = -1;
  for (int fd = 0; fd < 256; ++fd) {
    SocketAddress peer;
    socklen_t size = sizeof peer.storage;
    if (::getpeername(fd, peer.any(), &size) == 0 && peer.family() == AF_INET &&
        peer.port() == endpoint.port) {
      found = fd;
    }
  }
  REQUIRE(found >= 0);
  CHECK(socket_option(found, SOL_SOCKET, SO_RCVBUF) == 2 * 8'192);
  CHECK(socket_option(found, IPPROTO_TCP, TCP_NODELAY) == 0);
}

// ---- All of it ----------------------------------------------------------------------------------

TEST_CASE("one-way requests of a local peer that closes at once after them are all served") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  Router router;
  std::vector<std::string> stored;
  router.add("put",
             {.summary = "stores",
              .body_rule = [](const Header& header) -> Result<BodyRule> {
                return BodyRule{.size = header.integer("filesize", 0, 1'000'000).value(),
                                .one_way = true};
              }},
             later([&](const Request&, const Buffer& body, ReplyToken token) {
               // Busy for a while, in which nothing more is read of the connection.
               loop->after(Millis(5), [&stored, text = std::string(body.bytes()),
                                       token = std::move(token)]() mutable {
                 stored.push_back(text);
                 std::move(token).ok();
               });
             }));
  Server server(*loop, router);
  const std::string path = (scratch / "socket").string();
  REQUIRE(server.listen("unix:" + path).has_value());
  {
    const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress address =
        SocketAddress::from(Endpoint::parse("unix:" + path).value()).value();
    REQUIRE(::connect(client.get(), address.any(), address.size()) == 0);
    for (const char* body : {"one", "two", "three", "four"}) {
      const std::string_view text = body;
      send(client, frame_bytes(R"({"cmd":"put","filesize":)" + std::to_string(text.size()) + "}") +
                       std::string(text));
    }
  }
  for (int i = 0; i < 1'000 && (stored.size() < 4 || server.connections() > 0); ++i) {
    loop->step_waiting();
  }
  CHECK(stored == std::vector<std::string>{"one", "two", "three", "four"});
  CHECK(server.connections() == 0);
}

TEST_CASE("what runs for a local peer is cancelled when it closes") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  Router router;
  std::vector<ReplyToken> kept;
  std::optional<CancelReason> cancelled;
  router.add("keep", {.summary = "answers when it is made to"},
             later([&](const Request&, const Buffer&, ReplyToken token) {
               token.on_cancel([&](CancelReason reason) { cancelled = reason; });
               kept.push_back(std::move(token));
             }));
  Server server(*loop, router);
  const std::string url = server.listen("unix:" + (scratch / "socket").string()).value();
  {
    const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const SocketAddress address = SocketAddress::from(Endpoint::parse(url).value()).value();
    REQUIRE(::connect(client.get(), address.any(), address.size()) == 0);
    send(client, frame_bytes(R"({"cmd":"keep","id":1})"));
    while (kept.empty()) loop->step_waiting();
  }
  for (int i = 0; i < 100 && !cancelled; ++i) loop->step_waiting();
  CHECK(cancelled == CancelReason::peer_gone);
  CHECK(server.connections() == 0);
}

TEST_CASE("a client calls over a local socket, and its handler knows who it is") {
  auto loop = make_loop();
  const ScratchDirectory scratch;
  Router router;
  std::optional<Peer> seen;
  router.add("greet", {.summary = "says hello"},
             collected([&](const Request& request, std::string_view name) -> Result<Reply> {
               seen = request.peer();
               return Reply::text("hello " + std::string(name));
             }));
  Server server(*loop, router);
  const std::string url = server.listen("unix:" + (scratch / "a socket").string()).value();
  CHECK(url == "unix:" + scratch.string() + "/a%20socket?wire=frame");
  std::string answer;
  std::unique_ptr<Client> client;
  Client::connect(*loop, url, {}, [&](Result<std::unique_ptr<Client>> connected) {
    client = std::move(connected).value();
    client->call({.cmd = "greet", .body = Buffer::copy_of("Ada")},
                 [&](Result<Answer> got) { answer = got.value().body; });
  });
  while (answer.empty()) loop->step_waiting();
  CHECK(answer == "hello Ada");
  CHECK(seen->address == "unix");
  CHECK(seen->local_address == (scratch / "a socket").string());
  CHECK(seen->credentials == PeerCredentials{::getpid(), ::geteuid(), ::getegid()});
}
