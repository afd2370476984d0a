// SPDX-License-Identifier: MIT
#include "cleave/core/admission.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/core/bound_socket.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/core/socket_address.h"
#include "cleave/core/socket_option.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// Writes down what is asked, and refuses the step that begins with `refuse`.
class Gate final : public Admission {
 public:
  explicit Gate(std::vector<std::string>& diary) : diary_(diary) {}

  Result<void> may_bind(const Endpoint& endpoint, int fd) override {
    Endpoint nowhere = endpoint;
    nowhere.port = 0;
    nowhere.path.clear();
    CHECK(stands_at(fd, nowhere));
    // It has its options already.
    CHECK((socket_option(fd, SOL_SOCKET, SO_RCVBUF) == 40'000) ==
          (endpoint.options.receive_buffer == 20'000));
    return step("bind " + endpoint.url());
  }
  Result<void> may_activate(const Endpoint& endpoint, int fd) override {
    CHECK(stands_at(fd, endpoint));
    listened_already = socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
    return step("activate " + endpoint.url());
  }
  Result<void> may_accept(const Peer& peer) override {
    CHECK_FALSE(peer.local_address.empty());
    return step("admit " + peer.address);
  }

  std::string refuse;
  bool listened_already = false;

 private:
  static bool stands_at(int fd, const Endpoint& endpoint) {
    SocketAddress address;
    socklen_t size = sizeof address.storage;
    REQUIRE(::getsockname(fd, address.any(), &size) == 0);
    return address.family() == AF_UNIX ? address.path() == endpoint.path
                                       : address.port() == endpoint.port;
  }
  Result<void> step(const std::string& what) {
    diary_.push_back(what);
    if (refuse.empty() || !what.starts_with(refuse)) return {};
    return fail(Errc::quota_exceeded, "no more of these");
  }

  std::vector<std::string>& diary_;
};

// Writes down what is told.
class Witness final : public Observer {
 public:
  explicit Witness(std::vector<std::string>& diary) : diary_(diary) {}

  void on_listening(std::string_view url) override { write("listening", url); }
  void on_unlistening(std::string_view url) override { write("unlistening", url); }
  void on_accept(const Peer& peer) override { write("accept", peer.address); }
  void on_shed(const Error& error) override { write("shed", error.message); }
  void on_close(const Peer& peer, CloseReason, std::string_view, std::uint64_t,
                std::uint64_t) override {
    write("close", peer.address);
  }
  void on_server_closed() override { diary_.emplace_back("server closed"); }

 private:
  void write(std::string_view what, std::string_view whom) {
    diary_.push_back(std::string(what) + " " + std::string(whom));
  }

  std::vector<std::string>& diary_;
};

struct World {
  World() {
    router.add("greet", {.summary = "says hello"},
               collected([](const Request&, std::string_view name) -> Result<Reply> {
                 return Reply::text("hello " + std::string(name));
               }));
    server.emplace(*loop, router, ServerOptions{.observer = &witness, .admission = &gate});
  }

  std::vector<std::string> diary;
  std::unique_ptr<Loop> loop = Loop::create().value();
  Router router;
  Gate gate{diary};
  Witness witness{diary};
  std::optional<Server> server;
};

// A client that knows nothing of wires; blocks, so it is asked only for what has come.
class Caller {
 public:
  explicit Caller(const std::string& url) {
    const Endpoint endpoint = Endpoint::parse(url).value();
    const SocketAddress address = SocketAddress::from(endpoint).value();
    fd_ = Fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(fd_.get(), address.any(), address.size()) == 0);
  }
  // Everything up to the end of the connection.
  std::string read_all() const {
    std::string all;
    char bytes[256];
    for (ssize_t size = 0; (size = ::recv(fd_.get(), bytes, sizeof bytes, 0)) > 0;) {
      all.append(bytes, static_cast<std::size_t>(size));
    }
    return all;
  }
  void close() { fd_.reset(); }

 private:
  Fd fd_;
};

using Diary = std::vector<std::string>;

}  // namespace

TEST_CASE("a server's life is told step by step, and asked about before each") {
  World world;
  const std::string url = world.server->listen("tcp://127.0.0.1:0").value();
  CHECK_FALSE(world.gate.listened_already);
  CHECK(world.diary ==
        Diary{"bind tcp://127.0.0.1:0?wire=frame", "activate " + url, "listening " + url});
  world.diary.clear();

  Caller caller(url);
  while (world.server->connections() == 0) world.loop->step_waiting();
  caller.close();
  while (world.server->connections() == 1) world.loop->step_waiting();
  REQUIRE(world.diary.size() == 3);
  const std::string peer = world.diary[0].substr(6);
  CHECK(peer.starts_with("127.0.0.1:"));
  CHECK(world.diary == Diary{"admit " + peer, "accept " + peer, "close " + peer});
  world.diary.clear();

  bool drained = false;
  world.server->drain([&](bool) { drained = true; });
  while (!drained) world.loop->step_waiting();
  CHECK(world.diary == Diary{"unlistening " + url});
  world.server.reset();
  CHECK(world.diary == Diary{"unlistening " + url, "server closed"});
}

TEST_CASE("a server that is destroyed closes its listeners, then its connections, then itself") {
  World world;
  const std::string url = world.server->listen("tcp://127.0.0.1:0").value();
  const Caller caller(url);
  while (world.server->connections() == 0) world.loop->step_waiting();
  const std::string peer = world.diary.back().substr(7);
  world.diary.clear();
  world.server.reset();
  CHECK(world.diary == Diary{"unlistening " + url, "close " + peer, "server closed"});
}

TEST_CASE("a listener that may not be bound, or not activated, is none") {
  World world;
  const ScratchDirectory scratch;
  for (const std::string& url :
       {std::string("tcp://127.0.0.1:0"), "unix:" + (scratch / "socket").string()}) {
    for (const char* step : {"bind", "activate"}) {
      world.gate.refuse = step;
      const auto refused = world.server->listen(url);
      REQUIRE_FALSE(refused.has_value());
      CHECK(refused.error() == Error{Errc::quota_exceeded, "no more of these"});
      CHECK(world.diary.back().starts_with(step));
    }
  }
  CHECK_FALSE(std::filesystem::exists(scratch / "socket"));
  world.gate.refuse = {};
  CHECK(world.server->listen("tcp://127.0.0.1:0").has_value());
}

TEST_CASE("the step before the bind may set what the URL cannot say") {
  class Priority final : public Admission {
   public:
    Result<void> may_bind(const Endpoint&, int fd) override {
      set_socket_option(fd, SOL_SOCKET, SO_PRIORITY, 5);
      return {};
    }
    Result<void> may_activate(const Endpoint&, int fd) override {
      priority = socket_option(fd, SOL_SOCKET, SO_PRIORITY);
      return {};
    }
    std::optional<int> priority;
  };
  Priority admission;
  CHECK(BoundSocket::open(Endpoint::parse("tcp://127.0.0.1:0").value(), admission).has_value());
  CHECK(admission.priority == 5);
}

TEST_CASE("an inherited socket is asked about when its address is known, and not to be bound") {
  World world;
  Admission everybody;
  auto made = BoundSocket::open(Endpoint::parse("tcp://127.0.0.1:0").value(), everybody);
  REQUIRE(made.has_value());
  const std::string url = made->endpoint().url();
  const Endpoint how = Endpoint::parse("fd:web").value();
  CHECK(world.server->adopt(Fd(::dup(made->fd())), how) == url);
  CHECK(world.diary == Diary{"activate " + url, "listening " + url});
  world.gate.refuse = "activate";
  const auto refused = world.server->adopt(Fd(::dup(made->fd())), how);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::quota_exceeded);
  // It serves as one that was opened here does.
  const Caller caller(url);
  while (world.server->connections() == 0) world.loop->step_waiting();
}

TEST_CASE("an inherited socket has to have a command where its wire needs one") {
  World world;
  Admission everybody;
  for (const char* how : {"fd:web?wire=raw", "fd:web?wire=raw&cmd=unheard-of"}) {
    auto made = BoundSocket::open(Endpoint::parse("tcp://127.0.0.1:0").value(), everybody);
    REQUIRE(made.has_value());
    const auto refused = world.server->adopt(Fd(::dup(made->fd())), Endpoint::parse(how).value());
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::invalid_argument);
  }
}

TEST_CASE("a peer that is not admitted is told so where its wire can say it, and counted as shed") {
  World world;
  const ScratchDirectory scratch;
  world.gate.refuse = "admit";
  const std::string bare = world.server->listen("tcp://127.0.0.1:0?wire=raw&cmd=greet").value();
  const std::string tcp = world.server->listen("tcp://127.0.0.1:0").value();
  const std::string local = world.server->listen("unix:" + (scratch / "socket").string()).value();
  for (const std::string& url : {tcp, local, bare}) {
    CAPTURE(url);
    world.diary.clear();
    const Caller caller(url);
    while (world.diary.size() < 2) world.loop->step_waiting();
    CHECK(world.diary[0].starts_with(url == local ? "admit unix" : "admit 127.0.0.1:"));
    CHECK(world.diary[1] == "shed no more of these");
    const std::string answer = caller.read_all();
    if (url == bare) {
      CHECK(answer.empty());
    } else {
      CHECK(answer.find(R"("code":"quota_exceeded")") != std::string::npos);
      CHECK(answer.find(R"("status":"error")") != std::string::npos);
    }
    CHECK(world.diary.size() == 2);
    CHECK(world.server->connections() == 0);
  }
}

TEST_CASE("a server may end, or drain, in every call out") {
  // What an embedding program does when it is asked, or told.
  struct Ender final : public Admission, public Observer {
    std::function<void()> end;
    std::string when;
    void at(const char* step) {
      if (when == step && end) std::exchange(end, nullptr)();
    }
    Result<void> may_bind(const Endpoint&, int) override {
      at("bind");
      return {};
    }
    Result<void> may_activate(const Endpoint&, int) override {
      at("activate");
      return {};
    }
    Result<void> may_accept(const Peer&) override {
      at("admit");
      return {};
    }
    void on_listening(std::string_view) override { at("listening"); }
    void on_unlistening(std::string_view) override { at("unlistening"); }
  };
  for (const char* when : {"bind", "activate", "admit", "listening", "unlistening"}) {
    for (const bool drains : {false, true}) {
      CAPTURE(when);
      CAPTURE(drains);
      Ender ender;
      std::unique_ptr<Loop> loop = Loop::create().value();
      Router router;
      auto server = std::make_unique<Server>(
          *loop, router, ServerOptions{.observer = &ender, .admission = &ender});
      const auto first = server->listen("tcp://127.0.0.1:0");
      REQUIRE(first);
      ender.when = when;
      ender.end = [&] {
        if (drains) {
          server->drain([](bool) {});
        } else {
          server.reset();
        }
      };
      (void)server->listen("tcp://127.0.0.1:0");
      const Endpoint reached = Endpoint::parse(*first).value();
      SocketAddress address = SocketAddress::from(reached).value();
      const Fd peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      (void)::connect(peer.get(), address.any(), address.size());
      for (int i = 0; i < 10; ++i) loop->step();
      if (server) server->drain([](bool) {});
      for (int i = 0; i < 10; ++i) loop->step();
      CHECK_FALSE(ender.end);
    }
  }
}
