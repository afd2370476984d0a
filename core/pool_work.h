// SPDX-License-Identifier: MIT
#pragma once

#include <uv.h>

#include <array>

#include "cleave/core/loop.h"
#include "cleave/core/loop_internals.h"
#include "cleave/core/unique_function.h"

namespace cleave {
inline namespace v0 {

// Internal. How many threads libuv's pool has where UV_THREADPOOL_SIZE is `setting` (null: unset).
[[nodiscard]] unsigned pool_threads(const char* setting) noexcept;
// Internal. How much work of a lane may be in a pool of `threads` at a time.
[[nodiscard]] unsigned lane_share(Lane lane, unsigned threads) noexcept;

// Internal. The work of one loop in libuv's pool: Loop::offload() is its manual. Used on the loop's
// thread.
//
// libuv's queue is one for all, so whatever stands in it holds up what comes behind. Therefore a
// lane puts no more into it than threads are its share; the rest waits here, in the lane's queue.
class PoolWork {
 public:
  explicit PoolWork(uv_loop_t& uv) noexcept : uv_(uv) {}
  PoolWork(const PoolWork&) = delete;
  PoolWork& operator=(const PoolWork&) = delete;

  void add(Lane lane, UniqueFunction<void()> work, UniqueFunction<void()> done);
  // Waits for the work under way, and destroys all closures. libuv gives its requests back in the
  // turns that come; on an embedder's loop that may be after this object's end.
  void abandon() noexcept;
  [[nodiscard]] bool given_back() const noexcept { return abandoned_.alone(); }

 private:
  struct Item;
  // While something waits, the share is in the pool.
  struct Queue {
    RingLink waiting;
    RingLink in_pool;
    unsigned pool_count = 0;  // of in_pool
  };

  [[nodiscard]] Queue& queue(Lane lane) noexcept { return queues_[static_cast<std::size_t>(lane)]; }
  void fill_pool(Lane lane) noexcept;
  void abandon(Item& item) noexcept;

  uv_loop_t& uv_;
  std::array<Queue, 2> queues_;  // by Lane
  RingLink abandoned_;
};

}  // namespace v0
}  // namespace cleave
