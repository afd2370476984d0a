// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

#include "cleave/core/loop.h"

namespace cleave {
inline namespace v0 {

// Internal. A link of a ring; on its own it is a ring of one. Destroyed, it leaves its ring.
class RingLink {
 public:
  RingLink() noexcept = default;
  RingLink(const RingLink&) = delete;
  RingLink& operator=(const RingLink&) = delete;
  ~RingLink() { leave(); }

  [[nodiscard]] bool alone() const noexcept { return next_ == this; }
  [[nodiscard]] RingLink* next() const noexcept { return next_; }
  [[nodiscard]] RingLink* previous() const noexcept { return previous_; }
  void leave() noexcept {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = this;
  }
  // Joins the ring of `other` as the last before it.
  void join_before(RingLink& other) noexcept {
    leave();
    previous_ = other.previous_;
    next_ = &other;
    previous_->next_ = other.previous_ = this;
  }
  // Takes the place of `other`, which is on its own afterwards.
  void replace(RingLink& other) noexcept {
    join_before(other);
    other.leave();
  }

 private:
  RingLink* previous_ = this;
  RingLink* next_ = this;
};

// Internal. A task that runs once at the end of the turn in which it is armed, before the loop
// waits: what the replies of a turn leave by, all together. Armed from inside such a task it runs
// at the end of the next turn, and the loop does not wait before that. In the order of arming. May
// be destroyed from inside its own call. An armed one keeps run() alive; while none is armed the
// facility costs nothing.
class Deferred : private RingLink {
 public:
  explicit Deferred(Loop& loop) noexcept : loop_(loop) {}

  // Arming what is armed changes nothing.
  void arm();
  void disarm() noexcept { leave(); }
  [[nodiscard]] bool armed() const noexcept { return !alone(); }

 protected:
  ~Deferred() = default;

 private:
  friend struct LoopInternals;
  virtual void run_deferred() = 0;

  Loop& loop_;
};

// Internal. What core/ may do with a loop and others may not.
struct LoopInternals {
  using State = Loop::State;
  using TimerState = Timer::Node;

  // The loop's only T, made by `T(Loop&)` at the first call: for what the connections or the
  // children of one loop share. Destroyed by ~Loop, the youngest first, after every task (so after
  // every Buffer that a task held) and before libuv's loop is closed, so that it may own handles.
  // Worth keeping the reference: this is a search by type.
  template <typename T>
  [[nodiscard]] static T& get(Loop& loop) {
    if (void* found = find(loop, &kKey<T>)) return *static_cast<T*>(found);
    auto made = std::make_unique<T>(loop);
    T& shared = *made;
    keep(loop, &kKey<T>, {made.release(), [](void* object) { delete static_cast<T*>(object); }});
    return shared;
  }

  [[nodiscard]] static State& state(Loop& loop) noexcept;
  // Takes the first Deferred out of a ring of them, and runs it.
  static void run_first_after(RingLink& ring);

 private:
  using Shared = std::unique_ptr<void, void (*)(void*)>;
  template <typename T>
  static inline char kKey = 0;  // its address stands for T

  [[nodiscard]] static void* find(Loop& loop, const void* key) noexcept;
  static void keep(Loop& loop, const void* key, Shared shared);
};

}  // namespace v0
}  // namespace cleave
