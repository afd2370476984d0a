// SPDX-License-Identifier: MIT
#include "cleave/core/datagrams.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "cleave/core/file.h"

using namespace cleave;

namespace {

// Two ends that datagrams of any length pass between, in order and with nothing lost on the way.
struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  void send(std::string_view bytes) const {
    REQUIRE(::send(theirs.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
  }
  // What has come, "-" behind the last one.
  [[nodiscard]] std::string received() const {
    std::string all;
    std::array<char, 1'024> bytes{};
    for (;;) {
      const ssize_t size = ::recv(theirs.get(), bytes.data(), bytes.size(), 0);
      if (size < 0) return all + "-";
      all.append(bytes.data(), static_cast<std::size_t>(size)).append("|");
    }
  }
  Fd ours;
  Fd theirs;
};

// The bytes of a batch, each with a "|" behind it.
std::string joined(std::span<const Datagrams::Incoming> batch) {
  std::string all;
  for (const Datagrams::Incoming& each : batch) all.append(each.bytes).append("|");
  return all;
}

Fd bound_socket(SocketAddress& address) {
  Fd socket(::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  socklen_t size = address.size();
  REQUIRE(::bind(socket.get(), address.any(), size) == 0);
  REQUIRE(::getsockname(socket.get(), address.any(), &size) == 0);
  return socket;
}

SocketAddress address_of(const char* url) {
  return SocketAddress::from(Endpoint::parse(url).value()).value();
}

// Every rule below holds for the way of Linux and for everybody's.
template <typename Test>
void both_ways(Test test) {
  SUBCASE("many in a call") {
    test(false);
  }
  SUBCASE("one in a call") {
    test(true);
  }
}

}  // namespace

TEST_CASE("datagrams are taken as they were sent, up to so many, and none when there is none") {
  both_ways([](bool portable) {
    const Pair pair;
    Datagrams datagrams(pair.ours.get(), {}, portable);
    CHECK(datagrams.receive(Datagrams::kBatch).value().empty());
    for (const char* bytes : {"one", "", "three", "four"}) pair.send(bytes);
    CHECK(joined(datagrams.receive(3).value()) == "one||three|");
    CHECK(joined(datagrams.receive(3).value()) == "four|");
    CHECK(datagrams.receive(1).value().empty());
  });
}

TEST_CASE("the longest datagram is taken whole, and a longer one is known by its mark") {
  both_ways([](bool portable) {
    const Pair pair;
    Datagrams datagrams(pair.ours.get(), {}, portable);
    const std::string longest(Datagrams::kBytes, 'x');
    pair.send(longest);
    pair.send(longest + "y");
    pair.send("short");
    const auto batch = datagrams.receive(Datagrams::kBatch).value();
    REQUIRE(batch.size() == 3);
    CHECK(batch[0].bytes == longest);
    CHECK_FALSE(batch[0].truncated);
    CHECK(batch[1].truncated);
    CHECK(batch[2].bytes == "short");
    CHECK_FALSE(batch[2].truncated);
  });
}

TEST_CASE("answers leave in their order, each a datagram, and a batch without any sends nothing") {
  both_ways([](bool portable) {
    const Pair pair;
    Datagrams datagrams(pair.ours.get(), {}, portable);
    for (const char* bytes : {"a", "b", "c"}) pair.send(bytes);
    REQUIRE(datagrams.receive(3).value().size() == 3);
    datagrams.answer(2, "for ", "c");
    datagrams.answer(0, "", "");
    CHECK(datagrams.send().empty());
    CHECK(pair.received() == "for c||-");
    CHECK(datagrams.send().empty());
    pair.send("d");
    REQUIRE(datagrams.receive(3).value().size() == 1);
    CHECK(datagrams.send().empty());
    CHECK(pair.received() == "-");
  });
}

TEST_CASE("answers that were not sent are forgotten with their batch") {
  const Pair pair;
  Datagrams datagrams(pair.ours.get(), {});
  pair.send("a");
  REQUIRE(datagrams.receive(1).value().size() == 1);
  datagrams.answer(0, "", "old");
  CHECK(datagrams.receive(1).value().empty());
  CHECK(datagrams.send().empty());
  CHECK(pair.received() == "-");
}

TEST_CASE("what the system does not take now is named, and not kept") {
  both_ways([](bool portable) {
    const Pair pair;
    Datagrams datagrams(pair.ours.get(), {}, portable);
    for (int i = 0; i < 3; ++i) pair.send("x");
    REQUIRE(datagrams.receive(3).value().size() == 3);
    // Full, up to the last byte.
    while (::send(pair.ours.get(), "x", 1, 0) == 1) {
    }
    datagrams.answer(1, "", "never seen");
    datagrams.answer(2, "", "never seen");
    const auto unsent = datagrams.send();
    CHECK(std::vector(unsent.begin(), unsent.end()) == std::vector<std::size_t>{1, 2});
    CHECK(pair.received().find("never") == std::string::npos);
    CHECK(datagrams.send().empty());
    CHECK(pair.received() == "-");
  });
}

TEST_CASE("one that cannot be sent at all does not hold up those behind it") {
  both_ways([](bool portable) {
    SocketAddress ours = address_of("udp://127.0.0.1:0");
    SocketAddress theirs = address_of("udp://127.0.0.1:0");
    const Fd server = bound_socket(ours);
    const Fd client = bound_socket(theirs);
    Datagrams datagrams(server.get(), ours, portable);
    for (int i = 0; i < 3; ++i) {
      REQUIRE(::sendto(client.get(), "x", 1, 0, ours.any(), ours.size()) == 1);
    }
    REQUIRE(datagrams.receive(3).value().size() == 3);
    datagrams.answer(0, "", "first");
    datagrams.answer(1, "", std::string(Datagrams::kBytes + 1, 'x'));
    datagrams.answer(2, "", "third");
    const auto unsent = datagrams.send();
    CHECK(std::vector(unsent.begin(), unsent.end()) == std::vector<std::size_t>{1});
    std::array<char, 16> bytes{};
    CHECK(::recv(client.get(), bytes.data(), bytes.size(), 0) == 5);
    CHECK(std::string(bytes.data(), 5) == "first");
    CHECK(::recv(client.get(), bytes.data(), bytes.size(), 0) == 5);
    CHECK(std::string(bytes.data(), 5) == "third");
  });
}

TEST_CASE("the error of an earlier answer is not held against the next one") {
  both_ways([](bool portable) {
    SocketAddress ours = address_of("udp://127.0.0.1:0");
    SocketAddress theirs = address_of("udp://127.0.0.1:0");
    SocketAddress gone = theirs;
    const Fd server = bound_socket(ours);
    const int on = 1;
    REQUIRE(::setsockopt(server.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0);
    const Fd client = bound_socket(theirs);
    {
      const Fd leaver = bound_socket(gone);
      REQUIRE(::sendto(leaver.get(), "x", 1, 0, ours.any(), ours.size()) == 1);
    }
    REQUIRE(::sendto(client.get(), "x", 1, 0, ours.any(), ours.size()) == 1);
    Datagrams datagrams(server.get(), ours, portable);
    REQUIRE(datagrams.receive(2).value().size() == 2);
    datagrams.answer(0, "", "for nobody");
    CHECK(datagrams.send().empty());
    datagrams.answer(1, "", "for the other");
    CHECK(datagrams.send().empty());
    std::array<char, 16> bytes{};
    CHECK(::recv(client.get(), bytes.data(), bytes.size(), 0) == 13);
    datagrams.forget_errors();
    CHECK(datagrams.receive(1).value().empty());
  });
}

TEST_CASE("an error is told, with the system's words") {
  both_ways([](bool portable) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const Fd read_end(ends[0]);
    const Fd write_end(ends[1]);
    Datagrams datagrams(read_end.get(), {}, portable);
    const auto batch = datagrams.receive(1);
    REQUIRE_FALSE(batch.has_value());
    CHECK(batch.error().code == Errc::io_error);
    CHECK(batch.error().message == "cannot receive: Socket operation on non-socket");
  });
}

TEST_CASE("who sent a datagram is told, and a socket of all addresses tells which one was asked") {
  both_ways([](bool portable) {
    SocketAddress any = address_of("udp://0.0.0.0:0");
    SocketAddress theirs = address_of("udp://127.0.0.1:0");
    const Fd server = bound_socket(any);
    const Fd client = bound_socket(theirs);
    Datagrams datagrams(server.get(), any, portable);
    for (const char* host : {"127.0.0.1", "127.0.0.2"}) {
      SocketAddress asked = address_of(("udp://" + std::string(host) + ":1").c_str());
      asked.storage.v4.sin_port = htons(any.port());
      REQUIRE(::sendto(client.get(), "x", 1, 0, asked.any(), asked.size()) == 1);
      const auto batch = datagrams.receive(1).value();
      REQUIRE(batch.size() == 1);
      CHECK(batch[0].from == theirs);
      CHECK(batch[0].to == asked);
      datagrams.answer(0, "", "y");
      CHECK(datagrams.send().empty());
      SocketAddress from;
      socklen_t size = sizeof from.storage;
      char byte = 0;
      REQUIRE(::recvfrom(client.get(), &byte, 1, 0, from.any(), &size) == 1);
      CHECK(from == asked);
    }
  });
}
