// SPDX-License-Identifier: MIT
#include "cleave/core/pool_work.h"

#include <doctest/doctest.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "cleave/core/loop.h"
#include "cleave/testing/blocked_lane.h"

using namespace cleave;
using cleave::testing::BlockedLane;

namespace {

constexpr std::array kLanes{Lane::general, Lane::disk};

std::size_t index(Lane lane) {
  return static_cast<std::size_t>(lane);
}

Lane other(Lane lane) {
  return lane == Lane::disk ? Lane::general : Lane::disk;
}

int share(Lane lane) {
  return static_cast<int>(lane_share(lane, pool_threads(std::getenv("UV_THREADPOOL_SIZE"))));
}

// For what happens in the pool while the loop stands still.
bool comes_true(const std::function<bool()>& condition) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > patience) return false;
    std::this_thread::yield();
  }
  return true;
}

// Runs the loop until it is stopped: true; false after half a minute.
bool is_stopped(Loop& loop) {
  bool late = false;
  Timer patience(loop, [&] {
    late = true;
    loop.stop();
  });
  patience.start(std::chrono::seconds(30));
  loop.run();
  return !late;
}

// Counts how often it is destroyed, on the loop's thread and elsewhere.
struct Destroyed {
  const std::thread::id home = std::this_thread::get_id();
  std::atomic<int> at_home = 0;
  std::atomic<int> elsewhere = 0;
};
struct Witness {
  explicit Witness(Destroyed& in) : count(&in) {}
  Witness(Witness&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
  ~Witness() {
    if (count != nullptr)
      ++(std::this_thread::get_id() == count->home ? count->at_home : count->elsewhere);
  }
  Destroyed* count;
};

}  // namespace

TEST_CASE("work of one lane that is blocked does not delay the other's") {
  auto loop = Loop::create().value();
  for (const Lane lane : kLanes) {
    CAPTURE(index(lane));
    const BlockedLane blocked(*loop, lane);
    constexpr int kJobs = 16;
    int finished = 0;
    for (int i = 0; i < kJobs; ++i) {
      loop->offload([] {},
                    [&] {
                      if (++finished == kJobs) loop->stop();
                    },
                    other(lane));
    }
    CHECK(is_stopped(*loop));
    CHECK(finished == kJobs);
  }
}

TEST_CASE("each lane has its share of the pool's threads, and no more") {
  struct Counts {
    std::atomic<int> running = 0;
    std::atomic<int> most = 0;
    int finished = 0;
  };
  auto loop = Loop::create().value();
  std::array<Counts, kLanes.size()> counts;
  std::atomic<bool> go = false;
  constexpr int kJobs = 16;
  for (const Lane lane : kLanes) {
    Counts& of = counts[index(lane)];
    for (int i = 0; i < kJobs; ++i) {
      loop->offload(
          [&] {
            const int running = ++of.running;
            for (int most = of.most; most < running;) of.most.compare_exchange_weak(most, running);
            go.wait(false);
            --of.running;
          },
          [&] { ++of.finished; }, lane);
    }
  }
  const bool both_full = comes_true([&] {
    return std::all_of(kLanes.begin(), kLanes.end(),
                       [&](Lane lane) { return counts[index(lane)].running == share(lane); });
  });
  CHECK(both_full);
  go = true;
  go.notify_all();
  loop->run();
  for (const Lane lane : kLanes) {
    CAPTURE(index(lane));
    CHECK(counts[index(lane)].most == share(lane));
    CHECK(counts[index(lane)].finished == kJobs);
  }
}

TEST_CASE("the work of a lane begins in the order in which it came") {
  auto loop = Loop::create().value();
  for (const Lane lane : kLanes) {
    CAPTURE(index(lane));
    // All of the lane's threads but one are taken, so that what is behind them runs alone.
    std::atomic<bool> go = false;
    for (int i = 1; i < share(lane); ++i) loop->offload([&] { go.wait(false); }, nullptr, lane);
    std::vector<int> order;
    std::vector<int> expected;
    constexpr int kJobs = 20;
    for (int i = 0; i < kJobs; ++i) {
      expected.push_back(i);
      loop->offload([&order, i] { order.push_back(i); },
                    [&loop, i] {
                      if (i + 1 == kJobs) loop->stop();
                    },
                    lane);
    }
    CHECK(is_stopped(*loop));
    CHECK(order == expected);
    go = true;
    go.notify_all();
    loop->run();
  }
}

TEST_CASE("a loop that is destroyed begins nothing that waits, and destroys it on its thread") {
  uv_loop_t raw;
  LoopOptions options;
  SUBCASE("a loop of one's own") {}
  SUBCASE("an embedder's loop") {
    REQUIRE(uv_loop_init(&raw) == 0);
    options.uv = &raw;
  }
  auto loop = Loop::create(options).value();
  std::atomic<int> begun = 0;
  std::atomic<bool> go = false;
  int done = 0;
  Destroyed destroyed;
  constexpr int kJobs = 16;
  for (const Lane lane : kLanes) {
    for (int i = 0; i < kJobs; ++i) {
      loop->offload(
          [&, witness = Witness(destroyed)] {
            ++begun;
            go.wait(false);
          },
          [&, witness = Witness(destroyed)] { ++done; }, lane);
    }
  }
  const int shares = share(Lane::general) + share(Lane::disk);
  CHECK(comes_true([&] { return begun == shares; }));
  std::thread releaser([&] {
    go = true;
    go.notify_all();
  });
  loop.reset();
  releaser.join();
  CHECK(begun == shares);
  CHECK(done == 0);
  CHECK(destroyed.at_home == 2 * 2 * kJobs);
  CHECK(destroyed.elsewhere == 0);
  if (options.uv != nullptr) {
    CHECK(uv_run(&raw, UV_RUN_DEFAULT) == 0);
    CHECK(uv_loop_close(&raw) == 0);
  }
}

TEST_CASE("work that waits and offloads more as it is destroyed is destroyed with its loop") {
  auto loop = Loop::create().value();
  Destroyed destroyed;
  bool ran = false;
  {
    const BlockedLane blocked(*loop, Lane::disk);
    const auto offload_more = [&destroyed, &ran, &dying = *loop](int* p) {
      delete p;
      dying.offload([&ran, witness = Witness(destroyed)] { ran = true; }, nullptr, Lane::disk);
    };
    loop->offload([&ran, last = std::shared_ptr<int>(new int, offload_more)] { ran = true; },
                  nullptr, Lane::disk);
  }
  loop.reset();
  CHECK(destroyed.at_home == 1);
  CHECK_FALSE(ran);
}

TEST_CASE("an embedder's loop runs to its end only when what waits in the lanes has run") {
  uv_loop_t raw;
  REQUIRE(uv_loop_init(&raw) == 0);
  {
    auto loop = Loop::create({.uv = &raw}).value();
    std::atomic<int> ran = 0;
    int finished = 0;
    constexpr int kJobs = 100;
    for (int i = 0; i < kJobs; ++i) {
      loop->offload([&] { ++ran; }, [&] { ++finished; }, i % 3 == 0 ? Lane::disk : Lane::general);
    }
    uv_run(&raw, UV_RUN_DEFAULT);
    CHECK(ran == kJobs);
    CHECK(finished == kJobs);
  }
  uv_run(&raw, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&raw) == 0);
}

TEST_CASE("the pool's size is what libuv makes of UV_THREADPOOL_SIZE") {
  CHECK(pool_threads(nullptr) == 4);
  CHECK(pool_threads("8") == 8);
  CHECK(pool_threads("1") == 1);
  CHECK(pool_threads("0") == 1);
  CHECK(pool_threads("") == 1);
  CHECK(pool_threads("many") == 1);
  CHECK(pool_threads("7 threads") == 7);
  CHECK(pool_threads("1024") == 1024);
  CHECK(pool_threads("1025") == 1024);
  CHECK(pool_threads("-1") == 1024);
}

TEST_CASE("the lanes' shares add up to the pool, and none is without a thread") {
  CHECK(lane_share(Lane::general, 1) == 1);
  CHECK(lane_share(Lane::disk, 1) == 1);
  for (unsigned threads = 2; threads <= 1024; ++threads) {
    const unsigned general = lane_share(Lane::general, threads);
    const unsigned disk = lane_share(Lane::disk, threads);
    REQUIRE(general + disk == threads);
    REQUIRE(disk >= 1);
    REQUIRE(general - disk <= 1);
  }
}
