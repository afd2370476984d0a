// SPDX-License-Identifier: MIT
#include "cleave/core/pool_work.h"

#include <atomic>
#include <cassert>
#include <memory>
#include <utility>

namespace cleave {
inline namespace v0 {

// Frees itself when libuv gives it back. `data` is the PoolWork, null once it was abandoned: its
// closures are gone by then, and the PoolWork may be.
struct PoolWork::Item : uv_work_t, RingLink {
  Item(PoolWork& owner, UniqueFunction<void()> to_do, UniqueFunction<void()> then) noexcept
      : uv_work_t{}, work(std::move(to_do)), done(std::move(then)) {
    data = &owner;
  }

  UniqueFunction<void()> work;
  UniqueFunction<void()> done;
  std::atomic<bool> finished = false;  // set by the worker
};

void PoolWork::add(UniqueFunction<void()> work, UniqueFunction<void()> done) {
  auto* item = new Item(*this, std::move(work), std::move(done));
  item->join_before(in_pool_);
  // noexcept: an exception ends the process with its message rather than leaving libuv in the
  // middle of something.
  [[maybe_unused]] const int status = uv_queue_work(
      &uv_, item,
      [](uv_work_t* raw) noexcept {
        auto* self = static_cast<Item*>(raw);
        self->work();
        self->finished = true;
        self->finished.notify_one();
      },
      [](uv_work_t* raw, int) noexcept {
        const std::unique_ptr<Item> self(static_cast<Item*>(raw));
        if (self->data == nullptr) return;
        self->leave();
        if (self->done) self->done();
      });
  assert(status == 0);
}

void PoolWork::abandon() noexcept {
  while (!in_pool_.alone()) {
    Item& item = static_cast<Item&>(*in_pool_.next());
    item.join_before(abandoned_);
    item.data = nullptr;
    if (uv_cancel(reinterpret_cast<uv_req_t*>(static_cast<uv_work_t*>(&item))) < 0) {
      item.finished.wait(false);
    }
    item.work.reset();
    item.done.reset();
  }
}

}  // namespace v0
}  // namespace cleave
