// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "cleave/core/time.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

struct uv_loop_s;

namespace cleave {
inline namespace v0 {

struct LoopOptions {
  // The embedder's libuv loop, which is then neither run to its end nor closed by us; null: one of
  // our own. It has to be turned once more after ~Loop before it is closed, as libuv gives memory
  // back in a turn only. Turned by uv_run(3) it does not wait for posts: libuv sees none coming.
  uv_loop_s* uv = nullptr;
  // Where the time comes from; null: the system. Must outlive the loop. With a clock of one's own,
  // timers run in step() when it has reached them.
  const Clock* clock = nullptr;
};

// Offloaded work runs in libuv's pool: four threads, or what UV_THREADPOOL_SIZE says when the first
// work comes, 1 to 1,024 (libuv ends the process if it cannot make them). They are shared out, so
// that work which waits for what does not come holds up its own kind only. A lane of a loop has at
// most its half of the threads at a time (of an odd number `general` has the one more); what is
// beyond that waits in the lane, first in, first out. A single thread is shared by both, and loops
// share the pool: give it threads for each.
enum class Lane : std::uint8_t {
  general,  // computes, or waits for what has a deadline of its own
  disk,     // opens, reads, writes, syncs or removes files: a disk can hang, or be far away
};

// The event loop: one thread, on which everything that belongs to it is used and destroyed.
// Outlives all that was made with it. No signal handler, no output, and no thread before the first
// offload().
//
// While run() or a step() runs, SIGPIPE is blocked for its thread: a peer that has gone is an error
// of a write, as it should be, and no signal. A program that turns its own libuv loop itself has to
// ignore SIGPIPE. An exception that leaves a task ends the process.
class CLEAVE_API Loop {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Loop>> create(const LoopOptions& options = {});
  // Timers, posts and offloaded work that have not run are destroyed unrun; work that runs is
  // waited for.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(), or until nothing is left that could happen.
  void run();
  // One turn: what is ready now, without waiting. True while something is left to wait for.
  bool step();
  // One turn that waits until something happens. For programs that wait for one result.
  bool step_waiting();
  // Makes run() return after this turn.
  void stop();

  // The time at the beginning of this turn; between turns (and on an embedder's loop) the time now.
  [[nodiscard]] Time now() const noexcept;
  // True on the thread that created the loop, or that ran it last.
  [[nodiscard]] bool on_thread() const noexcept;

  // Runs `task` on the loop's thread in a later turn. The only call that is safe from other
  // threads. Tasks run in the order in which they were posted.
  void post(UniqueFunction<void()> task);

  // Runs `task` once after `delay`; use a Timer for what may have to be called off.
  void after(Millis delay, UniqueFunction<void()> task);

  // Runs `work` on a worker thread, then `done` on the loop's thread. Both are destroyed on the
  // loop's thread, so they may hold Buffers and tokens, which `work` must not move or destroy.
  // `work` may block; it must not throw.
  void offload(UniqueFunction<void()> work, UniqueFunction<void()> done, Lane lane = Lane::general);

  // The same for work with a result: `done(work())`.
  template <typename Work, typename Done>
  requires(!std::is_void_v<std::invoke_result_t<Work&>>) void offload(Work work, Done done,
                                                                      Lane lane = Lane::general) {
    using Outcome = std::invoke_result_t<Work&>;
    auto outcome = std::make_shared<std::unique_ptr<Outcome>>();
    offload(UniqueFunction<void()>([outcome, work = std::move(work)]() mutable {
              *outcome = std::make_unique<Outcome>(work());
            }),
            UniqueFunction<void()>(
                [outcome, done = std::move(done)]() mutable { done(std::move(**outcome)); }),
            lane);
  }

  // The libuv loop behind this one, for an embedder's own handles.
  [[nodiscard]] uv_loop_s* uv() const noexcept;

 private:
  friend struct LoopInternals;  // core/loop_internals.h
  struct State;
  explicit Loop(std::unique_ptr<State> state) noexcept;

  std::unique_ptr<State> state_;
};

// Calls a function once after a delay, unless it is stopped, started anew or destroyed first. May
// be destroyed from inside its own call.
class CLEAVE_API Timer {
 public:
  Timer(Loop& loop, UniqueFunction<void()> task);
  ~Timer();
  Timer(Timer&&) noexcept;
  Timer& operator=(Timer&&) noexcept;

  // Started anew, it forgets its earlier start. With a delay of 0 it runs in a later turn, also
  // when it is started from its own call. Running, it keeps run() from ending.
  void start(Millis delay);
  void stop() noexcept;
  [[nodiscard]] bool running() const noexcept;

 private:
  struct Node;
  friend struct LoopInternals;
  std::unique_ptr<Node> node_;
};

}  // namespace v0
}  // namespace cleave
