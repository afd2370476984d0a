// SPDX-License-Identifier: MIT
#pragma once

#include <uv.h>

#include "cleave/core/loop_internals.h"
#include "cleave/core/unique_function.h"

namespace cleave {
inline namespace v0 {

// Internal. The work of one loop in libuv's pool: Loop::offload() is its manual. Used on the loop's
// thread.
class PoolWork {
 public:
  explicit PoolWork(uv_loop_t& uv) noexcept : uv_(uv) {}
  PoolWork(const PoolWork&) = delete;
  PoolWork& operator=(const PoolWork&) = delete;

  void add(UniqueFunction<void()> work, UniqueFunction<void()> done);
  // Waits for the work under way, and destroys all closures. libuv gives its requests back in the
  // turns that come; on an embedder's loop that may be after this object's end.
  void abandon() noexcept;
  [[nodiscard]] bool given_back() const noexcept { return abandoned_.alone(); }

 private:
  struct Item;

  uv_loop_t& uv_;
  RingLink in_pool_;
  RingLink abandoned_;
};

}  // namespace v0
}  // namespace cleave
