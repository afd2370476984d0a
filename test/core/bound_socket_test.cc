// SPDX-License-Identifier: MIT
#include "cleave/core/bound_socket.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/core/accept.h"
#include "cleave/core/reuse_port.h"
#include "cleave/core/socket_address.h"
#include "cleave/core/socket_option.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

Result<BoundSocket> open(std::string_view url) {
  Admission everybody;
  return BoundSocket::open(Endpoint::parse(url).value(), everybody);
}

BoundSocket opened(std::string_view url) {
  auto socket = open(url);
  REQUIRE_MESSAGE(socket.has_value(), socket.error().message);
  return std::move(*socket);
}

int option(const BoundSocket& socket, int level, int name) {
  const auto value = socket_option(socket.fd(), level, name);
  REQUIRE(value.has_value());
  return *value;
}

Fd connected_to(std::uint16_t port) {
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    client.reset();
  }
  return client;
}

// The next connection, once it is there.
Fd accepted(int listener, bool portable = false) {
  pollfd waiting{.fd = listener, .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&waiting, 1, 60'000) == 1);
  Fd socket = accept_connection(listener, portable);
  REQUIRE(static_cast<bool>(socket));
  return socket;
}

bool is_non_blocking(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
}
bool is_close_on_exec(int fd) {
  return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

}  // namespace

// ---- Options ------------------------------------------------------------------------------------

TEST_CASE("a TCP listener reuses its address and nothing else, unless it is told otherwise") {
  const BoundSocket usual = opened("tcp://127.0.0.1:0");
  CHECK(option(usual, SOL_SOCKET, SO_REUSEADDR) != 0);
  CHECK(option(usual, SOL_SOCKET, SO_REUSEPORT) == 0);
  CHECK(option(usual, SOL_SOCKET, SO_ACCEPTCONN) == 1);
  CHECK(is_non_blocking(usual.fd()));
  CHECK(is_close_on_exec(usual.fd()));
  CHECK(usual.endpoint().port != 0);
  CHECK(option(opened("tcp://127.0.0.1:0?reuse_address=off"), SOL_SOCKET, SO_REUSEADDR) == 0);
}

TEST_CASE("the sizes of the buffers are set before a socket listens, and accepted ones have them") {
  // The system counts its own needs in, and so doubles what it is told.
  const BoundSocket tcp = opened("tcp://127.0.0.1:0?receive_buffer=20000&send_buffer=30000");
  CHECK(option(tcp, SOL_SOCKET, SO_RCVBUF) == 40'000);
  CHECK(option(tcp, SOL_SOCKET, SO_SNDBUF) == 60'000);
  const Fd client = connected_to(tcp.endpoint().port);
  const Fd server = accepted(tcp.fd());
  CHECK(socket_option(server.get(), SOL_SOCKET, SO_RCVBUF) == 40'000);
  CHECK(socket_option(server.get(), SOL_SOCKET, SO_SNDBUF) == 60'000);

  const BoundSocket udp = opened("udp://127.0.0.1:0?receive_buffer=20000&send_buffer=30000");
  CHECK(option(udp, SOL_SOCKET, SO_RCVBUF) == 40'000);
  CHECK(option(udp, SOL_SOCKET, SO_SNDBUF) == 60'000);
  CHECK(option(udp, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);

  const ScratchDirectory scratch;
  const BoundSocket local =
      opened("unix:" + (scratch / "s").string() + "?receive_buffer=20000&send_buffer=30000");
  CHECK(option(local, SOL_SOCKET, SO_RCVBUF) == 40'000);
  CHECK(option(local, SOL_SOCKET, SO_SNDBUF) == 60'000);
}

TEST_CASE("two listeners share a port where both want to, and each gets connections") {
  const BoundSocket first = opened("tcp://127.0.0.1:0?reuse_port=on");
  const BoundSocket second = opened(first.endpoint().url());
  CHECK(first.endpoint().port == second.endpoint().port);
  std::set<int> reached;
  std::vector<Fd> clients;
  for (int i = 0; i < 1'000 && reached.size() < 2; ++i) {
    clients.push_back(connected_to(first.endpoint().port));
    REQUIRE(static_cast<bool>(clients.back()));
    std::array<pollfd, 2> both = {pollfd{first.fd(), POLLIN, 0}, pollfd{second.fd(), POLLIN, 0}};
    REQUIRE(::poll(both.data(), both.size(), 60'000) >= 1);
    for (const pollfd& each : both) {
      if ((each.revents & POLLIN) == 0) continue;
      reached.insert(each.fd);
      (void)accept_connection(each.fd);
    }
  }
  CHECK(reached.size() == 2);
}

TEST_CASE("a port that somebody has alone is not shared") {
  const BoundSocket alone = opened("tcp://127.0.0.1:0");
  Endpoint same = alone.endpoint();
  for (const bool reuse_port : {false, true}) {
    same.options.reuse_port = reuse_port;
    const auto second = open(same.url());
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error() == Error{Errc::already_exists,
                                  "cannot listen on " + same.url() + ": Address already in use"});
  }
}

TEST_CASE("datagrams' ports are shared as well") {
  const BoundSocket first = opened("udp://127.0.0.1:0?reuse_port=on");
  CHECK(open(first.endpoint().url()).has_value());
}

TEST_CASE("a system that cannot share ports says so") {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto done = set_reuse_port(socket.get(), true);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error() ==
        Error{Errc::failed_precondition,
              "this system does not spread one port over several sockets (reuse_port)"});
  CHECK(socket_option(socket.get(), SOL_SOCKET, SO_REUSEPORT) == 0);
}

TEST_CASE("an IPv6 listener takes IPv4 only as dual_stack") {
  const BoundSocket six = opened("tcp://[::]:0");
  CHECK(option(six, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
  CHECK_FALSE(static_cast<bool>(connected_to(six.endpoint().port)));
  const BoundSocket both = opened("tcp://[::]:0?dual_stack=on");
  CHECK(option(both, IPPROTO_IPV6, IPV6_V6ONLY) == 0);
  const Fd client = connected_to(both.endpoint().port);
  REQUIRE(static_cast<bool>(client));
  const Fd server = accepted(both.fd());
  SocketAddress peer;
  socklen_t size = sizeof peer.storage;
  REQUIRE(::getpeername(server.get(), peer.any(), &size) == 0);
  CHECK(peer.text().starts_with("[::ffff:127.0.0.1]:"));
}

TEST_CASE("an accepted connection does not block and is not inherited by programs") {
  const BoundSocket listener = opened("tcp://127.0.0.1:0");
  bool portable = false;
  SUBCASE("on Linux") {}
  SUBCASE("on any system") {
    portable = true;
  }
  CHECK_FALSE(static_cast<bool>(accept_connection(listener.fd(), portable)));
  CHECK(errno == EAGAIN);
  const Fd client = connected_to(listener.endpoint().port);
  const Fd server = accepted(listener.fd(), portable);
  CHECK(is_non_blocking(server.get()));
  CHECK(is_close_on_exec(server.get()));
}

TEST_CASE("an inherited socket is not opened by its name") {
  const auto socket = open("fd:3");
  REQUIRE_FALSE(socket.has_value());
  CHECK(socket.error().code == Errc::invalid_argument);
}

// ---- Sockets that were made elsewhere -----------------------------------------------------------

namespace {

Endpoint inherited(std::string_view options = "") {
  return Endpoint::parse("fd:web" + std::string(options)).value();
}

Result<BoundSocket> adopt(Fd socket, const Endpoint& how = inherited()) {
  Admission everybody;
  return BoundSocket::adopt(std::move(socket), how, everybody);
}

std::string refused(Fd socket, const Endpoint& how = inherited()) {
  const auto adopted = adopt(std::move(socket), how);
  REQUIRE_FALSE(adopted.has_value());
  CHECK(adopted.error().code == Errc::invalid_argument);
  return adopted.error().message;
}

// A socket as another program makes it: blocking, and bound where there is something to bind to.
Fd foreign(int family, int type) {
  return Fd(::socket(family, type, 0));
}
template <typename Address>
Fd foreign(int family, int type, const Address& address) {
  Fd socket = foreign(family, type);
  REQUIRE(::bind(socket.get(), address.any(), address.size()) == 0);
  return socket;
}
SocketAddress address_of(std::string_view url) {
  return SocketAddress::from(Endpoint::parse(url).value()).value();
}

}  // namespace

TEST_CASE("an inherited listener says itself where it is") {
  Fd socket = foreign(AF_INET, SOCK_STREAM, address_of("tcp://127.0.0.1:0"));
  REQUIRE(::listen(socket.get(), 5) == 0);
  const int number = socket.get();
  const auto adopted =
      adopt(std::move(socket), inherited("?wire=raw&cmd=upper&packet_bytes=100&no_delay=off"));
  REQUIRE(adopted.has_value());
  CHECK(adopted->fd() == number);
  CHECK(is_non_blocking(number));
  CHECK(is_close_on_exec(number));
  const Endpoint& endpoint = adopted->endpoint();
  CHECK(endpoint.transport == Endpoint::Transport::tcp);
  CHECK(endpoint.host == "127.0.0.1");
  CHECK(endpoint.port != 0);
  CHECK(endpoint.is_loopback());
  CHECK(endpoint.url() == "tcp://127.0.0.1:" + std::to_string(endpoint.port) +
                              "?wire=raw&cmd=upper&no_delay=off&packet_bytes=100");
  CHECK(static_cast<bool>(connected_to(endpoint.port)));
}

TEST_CASE("an inherited listener on every address is not loopback") {
  Fd socket = foreign(AF_INET6, SOCK_STREAM, address_of("tcp://[::]:0"));
  REQUIRE(::listen(socket.get(), 5) == 0);
  const auto adopted = adopt(std::move(socket));
  REQUIRE(adopted.has_value());
  CHECK(adopted->endpoint().host == "::");
  CHECK_FALSE(adopted->endpoint().is_loopback());
}

TEST_CASE("an inherited socket for datagrams says itself where it is") {
  const auto adopted = adopt(foreign(AF_INET6, SOCK_DGRAM, address_of("udp://[::1]:0")),
                             inherited("?wire=raw&cmd=upper&receive_buffer=20000"));
  REQUIRE(adopted.has_value());
  CHECK(adopted->endpoint().transport == Endpoint::Transport::udp);
  CHECK(adopted->endpoint().host == "::1");
  CHECK(adopted->endpoint().port != 0);
  CHECK(option(*adopted, SOL_SOCKET, SO_RCVBUF) == 40'000);
}

TEST_CASE("an inherited socket's file is not ours to remove") {
  const ScratchDirectory scratch;
  const std::string path = (scratch / "socket").string();
  Fd socket = foreign(AF_UNIX, SOCK_STREAM, address_of("unix:" + path));
  REQUIRE(::listen(socket.get(), 5) == 0);
  {
    const auto adopted = adopt(std::move(socket));
    REQUIRE(adopted.has_value());
    CHECK(adopted->endpoint().url() == "unix:" + path + "?wire=frame");
  }
  CHECK(std::filesystem::is_socket(path));
}

TEST_CASE("an inherited socket that cannot be served is refused with what it is") {
  const auto says = [](std::string_view reason) {
    return "cannot serve fd:web?wire=frame: " + std::string(reason);
  };
  CHECK(refused(Fd()) == says("it is no socket"));
  CHECK(refused(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))) == says("it is no socket"));
  CHECK(refused(foreign(AF_INET, SOCK_STREAM)) == says("it does not listen"));
  CHECK(refused(foreign(AF_INET, SOCK_STREAM, address_of("tcp://127.0.0.1:0"))) ==
        says("it does not listen"));
  CHECK(refused(foreign(AF_UNIX, SOCK_STREAM)) == says("it does not listen"));
  CHECK(refused(foreign(AF_INET, SOCK_DGRAM)) == says("it is not bound to a port"));
  CHECK(refused(foreign(AF_UNIX, SOCK_DGRAM)) ==
        says("it takes datagrams, and a unix socket is served as a stream only"));
  CHECK(refused(foreign(AF_UNIX, SOCK_SEQPACKET)) ==
        says("it is neither a stream's socket nor one for datagrams"));
  CHECK(refused(foreign(AF_NETLINK, SOCK_DGRAM)) ==
        says("it is neither of IPv4 or IPv6 nor a unix socket"));

  const BoundSocket listener = opened("tcp://127.0.0.1:0");
  CHECK(refused(connected_to(listener.endpoint().port)) ==
        says("it is connected to a single peer"));
  Fd datagrams = foreign(AF_INET, SOCK_DGRAM, address_of("udp://127.0.0.1:0"));
  const SocketAddress somewhere = address_of("udp://127.0.0.1:9");
  REQUIRE(::connect(datagrams.get(), somewhere.any(), somewhere.size()) == 0);
  CHECK(refused(std::move(datagrams)) == says("it is connected to a single peer"));

  // Without a file there is no mode that says who may connect.
  Fd abstract = foreign(AF_UNIX, SOCK_STREAM);
  sockaddr_un nameless{};
  nameless.sun_family = AF_UNIX;
  REQUIRE(::bind(abstract.get(), reinterpret_cast<const sockaddr*>(&nameless),
                 sizeof(sa_family_t)) == 0);
  REQUIRE(::listen(abstract.get(), 5) == 0);
  CHECK(refused(std::move(abstract)) == says("it is a unix socket without a file"));
}

TEST_CASE("what is said of an inherited socket has to fit its kind, once that is known") {
  const auto datagrams = [] {
    return foreign(AF_INET, SOCK_DGRAM, address_of("udp://127.0.0.1:0"));
  };
  CHECK(refused(datagrams(), inherited("?wire=ready&cmd=exec"))
            .ends_with("a datagram carries the wire frame or raw, and not ready"));
  CHECK(refused(datagrams(), inherited("?keep_alive=off"))
            .ends_with("the option keep_alive is not one of this kind of socket"));
}

TEST_CASE("a refused descriptor is closed all the same") {
  Fd socket = foreign(AF_INET, SOCK_STREAM);
  const int number = socket.get();
  refused(std::move(socket));
  CHECK(::fcntl(number, F_GETFD) == -1);
}
