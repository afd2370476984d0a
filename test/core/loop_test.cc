// SPDX-License-Identifier: MIT
#include "cleave/core/loop.h"

#include <doctest/doctest.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cleave/core/loop_internals.h"
#include "cleave/testing/manual_clock.h"

using namespace cleave;
using cleave::testing::ManualClock;

namespace {

// A deferred task that is a function.
class Task final : public Deferred {
 public:
  Task(Loop& loop, UniqueFunction<void()> function)
      : Deferred(loop), function_(std::move(function)) {}

 private:
  void run_deferred() override {
    UniqueFunction<void()> function = std::move(function_);  // which may destroy this
    const std::weak_ptr<bool> alive = alive_;
    function();
    if (!alive.expired()) function_ = std::move(function);
  }

  UniqueFunction<void()> function_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

std::unique_ptr<Loop> make_loop(const LoopOptions& options = {}) {
  auto loop = Loop::create(options);
  REQUIRE(loop.has_value());
  return std::move(*loop);
}

// Counts how often it is destroyed, and on which thread.
struct Witness {
  explicit Witness(int& count, std::thread::id* thread = nullptr)
      : count_(&count), thread_(thread) {}
  Witness(Witness&& other) noexcept
      : count_(std::exchange(other.count_, nullptr)), thread_(other.thread_) {}
  ~Witness() {
    if (count_ == nullptr) return;
    ++*count_;
    if (thread_ != nullptr) *thread_ = std::this_thread::get_id();
  }
  int* count_;
  std::thread::id* thread_;
};

}  // namespace

TEST_CASE("a loop with nothing to do returns from run at once") {
  auto loop = make_loop();
  loop->run();
  CHECK_FALSE(loop->step());
  CHECK_FALSE(loop->step_waiting());
}

TEST_CASE("posts from several threads all run, each thread's in its order") {
  auto loop = make_loop();
  constexpr int kThreads = 4;
  constexpr int kPosts = 5'000;
  std::array<std::vector<int>, kThreads> seen;
  std::atomic<int> off_thread = 0;
  int finished = 0;
  // Something to wait for, as the loop cannot know that threads are going to post.
  Timer keeps_running(*loop, [] {});
  keeps_running.start(std::chrono::hours(1));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loop->post([&, t, i] {
          if (!loop->on_thread()) ++off_thread;
          seen[static_cast<std::size_t>(t)].push_back(i);
        });
      }
      loop->post([&] {
        if (++finished == kThreads) keeps_running.stop();
      });
    });
  }
  loop->run();
  for (std::thread& thread : threads) thread.join();
  CHECK(off_thread == 0);
  for (const std::vector<int>& each : seen) {
    REQUIRE(each.size() == kPosts);
    for (int i = 0; i < kPosts; ++i) REQUIRE(each[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("a post is run by run, step and step_waiting when there is nothing else") {
  auto loop = make_loop();
  int ran = 0;
  const auto task = [&ran] { ++ran; };
  loop->post(task);
  loop->run();
  CHECK(ran == 1);
  loop->post(task);
  CHECK_FALSE(loop->step());
  CHECK(ran == 2);
  loop->post(task);
  CHECK_FALSE(loop->step_waiting());
  CHECK(ran == 3);
}

TEST_CASE("a post made by a post runs in a later turn, and run waits for it") {
  auto loop = make_loop();
  int ran = 0;
  loop->post([&] {
    ++ran;
    loop->post([&] { ++ran; });
    CHECK(ran == 1);
  });
  loop->run();
  CHECK(ran == 2);
}

TEST_CASE("what was posted to a loop and has not run is destroyed with it") {
  int destroyed = 0;
  bool ran = false;
  auto loop = make_loop();
  loop->post([&ran, witness = Witness(destroyed)] { ran = true; });
  loop->after(Millis(1), [&ran, witness = Witness(destroyed)] { ran = true; });
  // One that posts another as it goes.
  const auto post_another = [&destroyed, &ran, &dying = *loop](int* p) {
    delete p;
    dying.post([&ran, witness = Witness(destroyed)] { ran = true; });
  };
  loop->post([&ran, last = std::shared_ptr<int>(new int, post_another)] { ran = true; });
  loop.reset();
  CHECK(destroyed == 3);
  CHECK_FALSE(ran);
}

TEST_CASE("stop makes run return after the turn, and the next run goes on") {
  auto loop = make_loop();
  int turns = 0;
  Timer timer(*loop, [&] {
    ++turns;
    timer.start(Millis(0));
    loop->stop();
  });
  timer.start(Millis(0));
  loop->run();
  CHECK(turns == 1);
  loop->run();
  CHECK(turns == 2);
}

TEST_CASE("timers run in the order of their times, and equal ones in the order of their starts") {
  ManualClock clock;
  auto loop = make_loop({.clock = &clock});
  std::string order;
  std::vector<std::unique_ptr<Timer>> timers;
  const std::array<std::pair<char, int>, 6> plan{
      {{'c', 20}, {'a', 10}, {'e', 30}, {'b', 10}, {'d', 20}, {'f', 40}}};
  for (const auto& [name, delay] : plan) {
    timers.push_back(std::make_unique<Timer>(*loop, [&order, name = name] { order += name; }));
    timers.back()->start(Millis(delay));
  }
  clock.advance(Millis(9));
  CHECK(loop->step());
  CHECK(order.empty());
  clock.advance(Millis(1));
  loop->step();
  CHECK(order == "ab");
  clock.advance(Millis(20));
  CHECK(loop->step());
  CHECK(order == "abcde");
  clock.advance(Millis(10));
  CHECK_FALSE(loop->step());
  CHECK(order == "abcdef");
}

TEST_CASE("a thousand timers, restarted and stopped at random, run exactly when they should") {
  ManualClock clock;
  auto loop = make_loop({.clock = &clock});
  struct Plan {
    std::unique_ptr<Timer> timer;
    std::optional<Time> due;
  };
  std::vector<Plan> plans(1'000);
  int wrong = 0;
  int ran = 0;
  for (Plan& plan : plans) {
    plan.timer = std::make_unique<Timer>(*loop, [&] {
      ++ran;
      if (plan.due != loop->now()) ++wrong;
      plan.due.reset();
    });
  }
  std::uint32_t random = 1;
  const auto next = [&random](std::uint32_t below) {
    random = random * 1'664'525 + 1'013'904'223;
    return (random >> 8) % below;
  };
  for (int turn = 0; turn < 2'000; ++turn) {
    for (int i = 0; i < 20; ++i) {
      Plan& plan = plans[next(1'000)];
      if (next(4) == 0) {
        plan.timer->stop();
        plan.due.reset();
      } else {
        const Millis delay(1 + next(300));
        plan.timer->start(delay);
        plan.due = loop->now() + delay;
      }
      CHECK(plan.timer->running() == plan.due.has_value());
    }
    clock.advance(Millis(1));
    loop->step();
    for (const Plan& plan : plans) {
      if (plan.due.has_value() && *plan.due <= loop->now()) ++wrong;
    }
  }
  CHECK(ran > 1'000);
  CHECK(wrong == 0);
}

TEST_CASE("a timer may be stopped, started anew, moved or destroyed inside its own call") {
  ManualClock clock;
  auto loop = make_loop({.clock = &clock});
  int calls = 0;
  int destroyed = 0;
  std::optional<Timer> timer;

  SUBCASE("stopped") {
    timer.emplace(*loop, [&] { ++calls, timer->stop(); });
    timer->start(Millis(0));
    CHECK_FALSE(loop->step());
    CHECK(calls == 1);
  }
  SUBCASE("started anew with 0: the next turn runs it") {
    timer.emplace(*loop, [&] { ++calls, timer->start(Millis(0)); });
    timer->start(Millis(0));
    for (int turn = 1; turn <= 3; ++turn) {
      CHECK(loop->step());
      CHECK(calls == turn);
    }
  }
  SUBCASE("destroyed") {
    timer.emplace(*loop, [&, witness = Witness(destroyed)] {
      timer.reset();
      CHECK(destroyed == 0);
      ++calls;
    });
    timer->start(Millis(0));
    loop->step();
    CHECK(calls == 1);
    CHECK(destroyed == 1);
  }
  SUBCASE("replaced") {
    timer.emplace(*loop, [&, witness = Witness(destroyed)] {
      *timer = Timer(*loop, [&] { calls += 10; });
      timer->start(Millis(0));
      ++calls;
    });
    timer->start(Millis(0));
    loop->step();
    CHECK(calls == 1);
    CHECK(destroyed == 1);
    loop->step();
    CHECK(calls == 11);
  }
  SUBCASE("destroying one that is due in the same turn keeps it from running") {
    Timer first(*loop, [&] { timer.reset(); });
    timer.emplace(*loop, [&] { ++calls; });
    first.start(Millis(0));
    timer->start(Millis(0));
    loop->step();
    CHECK(calls == 0);
  }
}

TEST_CASE("a timer with the longest delay there is never runs, and does not run at once") {
  ManualClock clock;
  auto loop = make_loop({.clock = &clock});
  bool ran = false;
  Timer timer(*loop, [&] { ran = true; });
  timer.start(Millis::max());
  clock.advance(std::chrono::hours(24 * 365));
  CHECK(loop->step());
  CHECK_FALSE(ran);
}

TEST_CASE("run on the system's clock waits for running timers, and not for stopped ones") {
  auto loop = make_loop();
  const Time begin = loop->now();
  std::vector<int> order;
  Timer late(*loop, [&] { order.push_back(20); });
  Timer never(*loop, [&] { order.push_back(-1); });
  late.start(Millis(20));
  never.start(std::chrono::hours(1));
  loop->after(Millis(5), [&] {
    order.push_back(5);
    never.stop();
  });
  loop->run();
  CHECK(order == std::vector<int>{5, 20});
  CHECK(loop->now() - begin >= Millis(20));
}

TEST_CASE("a turn that waits is over when a timer has run that was due at its beginning") {
  auto loop = make_loop();
  bool first = false;
  bool second = false;
  loop->after(Millis(0), [&] { first = true; });
  loop->after(Millis(1'000), [&] { second = true; });
  CHECK(loop->step_waiting());
  CHECK(first);
  CHECK_FALSE(second);
}

TEST_CASE("a timer that starts itself anew with 0 does not starve the loop") {
  auto loop = make_loop();
  int calls = 0;
  Timer timer(*loop, [&] {
    ++calls;
    timer.start(Millis(0));
  });
  timer.start(Millis(0));
  std::thread other([&] { loop->post([&] { loop->stop(); }); });
  loop->run();
  other.join();
  CHECK(calls < 1'000'000);
}

TEST_CASE("a timer started between turns counts from then, however long ago the last turn was") {
  auto loop = make_loop();
  loop->step();
  const Time turn = loop->now();
  while (loop->now() < turn + Millis(30)) {
  }
  bool ran = false;
  Timer timer(*loop, [&] { ran = true; });
  timer.start(Millis(25));
  loop->step();
  CHECK_FALSE(ran);
}

TEST_CASE(
    "offloaded work runs elsewhere; its end runs, and both are destroyed, on the loop's thread") {
  auto loop = make_loop();
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id worked;
  std::thread::id finished;
  int destroyed = 0;
  std::thread::id destroyer;
  loop->offload(
      [&, witness = Witness(destroyed, &destroyer)] { worked = std::this_thread::get_id(); },
      [&, witness = Witness(destroyed, &destroyer)] {
        finished = std::this_thread::get_id();
        CHECK(destroyed == 0);
      });
  loop->run();
  CHECK(worked != std::thread::id());
  CHECK(worked != here);
  CHECK(finished == here);
  CHECK(destroyed == 2);
  CHECK(destroyer == here);
}

TEST_CASE("offloaded work hands its result over") {
  auto loop = make_loop();
  std::unique_ptr<std::string> result;
  loop->offload([] { return std::make_unique<std::string>("heavy"); },
                [&](std::unique_ptr<std::string> made) { result = std::move(made); });
  loop->run();
  REQUIRE(result != nullptr);
  CHECK(*result == "heavy");
}

TEST_CASE(
    "destroying a loop waits for the work under way, and drops its end and what has not begun") {
  uv_loop_t raw;
  LoopOptions options;
  SUBCASE("a loop of one's own") {}
  SUBCASE("an embedder's loop") {
    REQUIRE(uv_loop_init(&raw) == 0);
    options.uv = &raw;
  }
  auto loop = make_loop(options);
  std::atomic<int> begun = 0;
  std::atomic<int> ended = 0;
  std::atomic<bool> go = false;
  int done = 0;
  int destroyed = 0;
  constexpr int kItems = 50;
  for (int i = 0; i < kItems; ++i) {
    loop->offload(
        [&, witness = Witness(destroyed)] {
          ++begun;
          while (!go) std::this_thread::yield();
          ++ended;
        },
        [&] { ++done; });
  }
  while (begun == 0) std::this_thread::yield();
  std::thread releaser([&] { go = true; });
  loop.reset();
  CHECK(ended == begun);
  CHECK(ended >= 1);
  CHECK(done == 0);
  CHECK(destroyed == kItems);
  releaser.join();
  if (options.uv != nullptr) {
    CHECK(uv_run(&raw, UV_RUN_DEFAULT) == 0);
    CHECK(uv_loop_close(&raw) == 0);
  }
}

TEST_CASE("an embedder's loop is neither closed nor run to its end, and drives everything") {
  uv_loop_t raw;
  REQUIRE(uv_loop_init(&raw) == 0);
  uv_timer_t theirs;
  REQUIRE(uv_timer_init(&raw, &theirs) == 0);
  int their_calls = 0;
  theirs.data = &their_calls;
  uv_timer_start(
      &theirs, [](uv_timer_t* timer) { ++*static_cast<int*>(timer->data); }, 50, 0);
  std::string order;
  {
    auto loop = make_loop({.uv = &raw});
    CHECK(loop->uv() == &raw);
    Task deferred(*loop, [&] { order += 'd'; });
    loop->post([&] { order += 'p'; });
    Timer timer(*loop, [&] {
      order += 't';
      deferred.arm();
      loop->offload([] {}, [&] { order += 'o', loop->stop(); });
    });
    timer.start(Millis(1));
    uv_run(&raw, UV_RUN_DEFAULT);
    CHECK(order == "ptdo");
  }
  CHECK(their_calls == 0);
  uv_run(&raw, UV_RUN_DEFAULT);
  CHECK(their_calls == 1);
  uv_close(reinterpret_cast<uv_handle_t*>(&theirs), nullptr);
  uv_run(&raw, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&raw) == 0);
}

TEST_CASE("a deferred task runs once, at the end of the turn that armed it") {
  auto loop = make_loop();
  std::string order;
  Task deferred(*loop, [&] { order += 'd'; });

  SUBCASE("armed by an event, behind the other events") {
    loop->post([&] {
      order += '1';
      deferred.arm();
      deferred.arm();
      CHECK(deferred.armed());
    });
    loop->post([&] { order += '2'; });
    Timer keeps_alive(*loop, [] {});
    keeps_alive.start(std::chrono::hours(1));
    loop->step();
    CHECK(order == "12d");
    loop->step();
    CHECK(order == "12d");
  }
  SUBCASE("armed by a timer, before the loop waits") {
    Timer timer(*loop, [&] {
      order += 't';
      deferred.arm();
    });
    timer.start(Millis(0));
    loop->run();
    CHECK(order == "td");
  }
  SUBCASE("armed between turns") {
    deferred.arm();
    loop->run();
    CHECK(order == "d");
  }
  SUBCASE("disarmed it does not run") {
    deferred.arm();
    deferred.disarm();
    loop->run();
    CHECK(order.empty());
  }
  CHECK_FALSE(deferred.armed());
}

TEST_CASE("deferred tasks may arm, disarm and destroy each other and themselves") {
  auto loop = make_loop();
  std::string order;
  std::optional<Task> first;
  std::optional<Task> second;
  std::optional<Task> third;
  int destroyed = 0;
  int again = 0;
  first.emplace(*loop, [&, witness = Witness(destroyed)] {
    order += '1';
    if (++again < 3) first->arm();
    if (again == 1) second.reset();
    if (again == 3) first.reset();
    CHECK(destroyed == 0);
  });
  second.emplace(*loop, [&] { order += '2'; });
  third.emplace(*loop, [&] { order += '3'; });
  first->arm();
  second->arm();
  third->arm();
  loop->run();
  CHECK(order == "1311");
  CHECK(destroyed == 1);
}

TEST_CASE("the loop does not wait while a deferred task has armed itself anew") {
  auto loop = make_loop();
  int runs = 0;
  Task deferred(*loop, [&] {
    if (++runs < 5) deferred.arm();
  });
  Timer hour(*loop, [] {});
  hour.start(std::chrono::hours(1));
  deferred.arm();
  while (runs < 5) CHECK(loop->step_waiting());
  CHECK(runs == 5);
}

TEST_CASE("what a loop keeps for its users is made once per type and destroyed after the tasks") {
  static std::string order;
  order.clear();
  struct Older {
    explicit Older(Loop&) {}
    ~Older() { order += 'o'; }
  };
  struct Younger {
    explicit Younger(Loop& loop) : timer(loop, [] {}) { timer.start(Millis(1)); }
    ~Younger() { order += 'y'; }
    Timer timer;
  };
  auto loop = make_loop();
  Older& older = LoopInternals::get<Older>(*loop);
  CHECK(&LoopInternals::get<Older>(*loop) == &older);
  CHECK(static_cast<void*>(&LoopInternals::get<Younger>(*loop)) != static_cast<void*>(&older));
  loop->post([task = std::shared_ptr<void>(nullptr, [](void*) { order += 't'; })] {});
  loop.reset();
  CHECK(order == "tyo");
}

TEST_CASE("inside the loop a write to a reader that has gone is an error and no signal") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  ::close(ends[0]);
  struct sigaction before {};
  REQUIRE(::sigaction(SIGPIPE, nullptr, &before) == 0);
  REQUIRE((before.sa_handler == SIG_DFL));
  auto loop = make_loop();
  int error = 0;
  loop->post([&] {
    if (::write(ends[1], "x", 1) < 0) error = errno;
  });
  loop->run();
  CHECK(error == EPIPE);
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  CHECK(sigismember(&blocked, SIGPIPE) == 0);
  ::close(ends[1]);
}
