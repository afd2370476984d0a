// SPDX-License-Identifier: MIT
#include "cleave/core/watcher.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "cleave/core/file.h"

using namespace cleave;

namespace {

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    ours = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  Fd ours;
  Fd theirs;
};

std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  REQUIRE(loop.has_value());
  return std::move(*loop);
}

Watcher make_watcher(Loop& loop, const Fd& fd, UniqueFunction<void(Watcher::Events)> callback) {
  auto watcher = Watcher::create(loop, fd.get(), std::move(callback));
  REQUIRE(watcher.has_value());
  return std::move(*watcher);
}

}  // namespace

TEST_CASE("a watcher calls once a turn while its descriptor is ready, and not when it stops") {
  auto loop = make_loop();
  const Pair pair;
  int calls = 0;
  Watcher watcher = make_watcher(*loop, pair.ours, [&](Watcher::Events events) {
    CHECK(events == Watcher::Events{.readable = true});
    ++calls;
  });
  watcher.watch({.readable = true});
  CHECK(loop->step());
  CHECK(calls == 0);
  REQUIRE(::write(pair.theirs.get(), "x", 1) == 1);
  loop->step();
  loop->step();
  CHECK(calls == 2);
  watcher.watch({});
  CHECK_FALSE(loop->step());
  CHECK(calls == 2);
}

TEST_CASE("a watcher tells the events that it is asked for") {
  auto loop = make_loop();
  Pair pair;
  Watcher::Events seen;
  Watcher watcher = make_watcher(*loop, pair.ours, [&](Watcher::Events events) { seen = events; });
  watcher.watch({.readable = true, .writable = true});
  loop->step();
  CHECK(seen == Watcher::Events{.writable = true});
  REQUIRE(::shutdown(pair.theirs.get(), SHUT_WR) == 0);
  watcher.watch({.hangup = true});
  loop->step();
  CHECK(seen == Watcher::Events{.hangup = true});
}

TEST_CASE("a broken descriptor is told as an error, once") {
  auto loop = make_loop();
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  Fd read_end(ends[0]);
  const Fd write_end(ends[1]);
  int errors = 0;
  Watcher watcher = make_watcher(*loop, write_end, [&](Watcher::Events events) {
    CHECK(events == Watcher::Events{.error = true});
    ++errors;
  });
  watcher.watch({.priority = true});
  loop->step();
  CHECK(errors == 0);
  read_end.reset();
  CHECK_FALSE(loop->step());  // nothing left to wait for: the watcher has stopped by itself
  CHECK(errors == 1);
}

TEST_CASE("a watcher may be destroyed or replaced inside its own call") {
  auto loop = make_loop();
  const Pair pair;
  const Pair other;
  REQUIRE(::write(pair.theirs.get(), "x", 1) == 1);
  std::optional<Watcher> watcher;
  auto held = std::make_shared<int>(0);

  SUBCASE("destroyed") {
    watcher = make_watcher(*loop, pair.ours, [&watcher, held](Watcher::Events) {
      watcher.reset();
      ++*held;
    });
  }
  SUBCASE("replaced") {
    watcher = make_watcher(*loop, pair.ours, [&loop, &watcher, &other, held](Watcher::Events) {
      *watcher = make_watcher(*loop, other.ours, [](Watcher::Events) {});
      ++*held;
    });
  }
  watcher->watch({.readable = true});
  loop->run();
  CHECK(*held == 1);
  CHECK(held.use_count() == 1);
}

TEST_CASE("destroying a watcher destroys what its callback holds at once") {
  auto loop = make_loop();
  const Pair pair;
  auto held = std::make_shared<int>(0);
  {
    const Watcher watcher = make_watcher(*loop, pair.ours, [held](Watcher::Events) {});
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("a descriptor keeps its flags while it is watched") {
  auto loop = make_loop();
  const Pair pair;
  const Watcher watcher = make_watcher(*loop, pair.ours, [](Watcher::Events) {});
  CHECK((::fcntl(pair.ours.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a regular file cannot be watched, and the error says which descriptor") {
  auto loop = make_loop();
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto watcher = Watcher::create(*loop, file.get(), [](Watcher::Events) {});
  REQUIRE_FALSE(watcher.has_value());
  CHECK(watcher.error().code == Errc::io_error);
  CHECK(watcher.error().message ==
        "descriptor " + std::to_string(file.get()) + " cannot be watched: operation not permitted");
}

TEST_CASE("a signal is told as long as its watcher exists, which keeps run going") {
  auto loop = make_loop();
  int calls = 0;
  std::optional<SignalWatcher> watcher;
  auto made = SignalWatcher::create(*loop, SIGUSR1, [&] {
    if (++calls == 1) {
      ::raise(SIGUSR1);
    } else {
      watcher.reset();
    }
  });
  REQUIRE(made.has_value());
  watcher = std::move(*made);
  ::raise(SIGUSR1);
  loop->run();
  CHECK(calls == 2);
}

TEST_CASE("a signal that cannot be caught cannot be watched") {
  auto loop = make_loop();
  const auto watcher = SignalWatcher::create(*loop, SIGKILL, [] {});
  REQUIRE_FALSE(watcher.has_value());
  CHECK(watcher.error().code == Errc::io_error);
}
