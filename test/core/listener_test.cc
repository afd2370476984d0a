// SPDX-License-Identifier: MIT
// What a listener does when the process has no descriptor left for those who connect.
#include "cleave/core/listener.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <deque>
#include <string>
#include <vector>

#include "cleave/core/server.h"
#include "cleave/testing/frame_bytes.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// The soft limit of descriptors, as long as it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit now{limit, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

// A socket that is made while there is a descriptor for it, and connects later.
class EarlyClient {
 public:
  EarlyClient() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}

  void connect(const std::string& url) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(Endpoint::parse(url).value().port);
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
  }
  void send(std::string_view bytes) {
    REQUIRE(::send(socket_.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
  }
  // All that has come so far; "end" behind it where the server has closed.
  std::string received() {
    for (;;) {
      std::string bytes(4'096, '\0');
      const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (count <= 0) return count == 0 ? received_ + "end" : received_;
      received_.append(bytes, 0, static_cast<std::size_t>(count));
    }
  }

 private:
  Fd socket_;
  std::string received_;
};

struct Sheds final : Observer {
  void on_accept(const Peer&) override { ++accepted; }
  void on_shed(const Error& error) override { errors.push_back(error); }

  int accepted = 0;
  std::vector<Error> errors;
};

struct World {
  std::unique_ptr<Loop> loop = Loop::create().value();
  Router router;
  Sheds sheds;
  Server server{*loop, router, {.observer = &sheds}};
  std::string url = server.listen("tcp://127.0.0.1:0").value();

  // Everything that is used later is used once: a sanitizer looks at the type of an object when it
  // meets it first, by a pipe, for which there are no descriptors then.
  World() {
    Limits one = server.limits();
    one.max_connections = 1;
    server.set_limits(one);
    {
      EarlyClient client;
      client.connect(url);
      client.send(frame_bytes(R"({"cmd":"nothing"})"));
      while (client.received().empty()) loop->step();
      EarlyClient refused;
      refused.connect(url);
      while (sheds.errors.empty()) loop->step();
    }
    while (server.connections() > 0) loop->step();
    server.set_limits(Limits());
    sheds.accepted = 0;
    sheds.errors.clear();
  }

  void steps(int count) {
    for (int i = 0; i < count; ++i) loop->step();
  }
};

// Takes every descriptor that is left.
std::vector<Fd> take_all() {
  std::vector<Fd> taken;
  for (;;) {
    Fd one(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    if (!one) return taken;
    taken.push_back(std::move(one));
  }
}

bool is_busy(const std::string& received) {
  return received.find(R"("code":"busy")") != std::string::npos && received.ends_with("end");
}

}  // namespace

TEST_CASE(
    "without descriptors those who connect are told busy one by one, and later ones are served") {
  World world;
  std::deque<EarlyClient> clients(100);
  EarlyClient late;
  const DescriptorLimit limit(512);
  std::vector<Fd> taken = take_all();
  for (EarlyClient& client : clients) client.connect(world.url);
  // 64 are taken in a turn.
  world.steps(5);
  CHECK(world.sheds.accepted == 0);
  CHECK(world.sheds.errors.size() == 100);
  for (const Error& error : world.sheds.errors) CHECK(error.code == Errc::busy);
  for (EarlyClient& client : clients) CHECK(is_busy(client.received()));
  // There is nothing to do now, so nothing is done.
  world.steps(100);
  CHECK(world.sheds.errors.size() == 100);

  taken.clear();
  late.connect(world.url);
  late.send(frame_bytes(R"({"cmd":"nothing"})"));
  for (int i = 0; i < 1'000 && late.received().empty(); ++i) world.loop->step();
  CHECK(late.received().find("unknown_command") != std::string::npos);
  CHECK(world.sheds.accepted == 1);
}

TEST_CASE(
    "where even the spare descriptor is of no use, the backlog waits and the loop does not spin") {
  World world;
  std::deque<EarlyClient> clients(3);
  for (EarlyClient& client : clients) client.connect(world.url);
  int ticks = 0;
  Timer timer(*world.loop, [&] {
    ++ticks;
    timer.start(Millis(0));
  });
  {
    const DescriptorLimit limit(3);
    timer.start(Millis(0));
    while (world.sheds.errors.empty()) world.loop->step();
    while (ticks < 10) world.loop->step_waiting();
    CHECK(world.sheds.errors.size() <= 2);  // one each 100 ms
    CHECK(world.sheds.errors.front().code == Errc::overloaded);
    CHECK(world.sheds.errors.front().message.find("Too many open files") != std::string::npos);
  }
  timer.stop();
  // They are still there, and are served when there is room.
  while (world.sheds.accepted < 3) world.loop->step_waiting();
  for (EarlyClient& client : clients) CHECK(client.received().empty());
}
