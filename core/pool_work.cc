// SPDX-License-Identifier: MIT
#include "cleave/core/pool_work.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdlib>
#include <memory>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

// libuv reads the variable once, at the first work; so do we, at the first of ours.
unsigned threads_of_this_pool() noexcept {
  static const unsigned threads = pool_threads(std::getenv("UV_THREADPOOL_SIZE"));
  return threads;
}

}  // namespace

// As libuv's init_threads(): it takes what is no number for 0, and a negative one for a large one.
unsigned pool_threads(const char* setting) noexcept {
  constexpr unsigned kDefault = 4;
  constexpr unsigned kMost = 1024;
  if (setting == nullptr) return kDefault;
  const auto asked = static_cast<unsigned>(std::strtol(setting, nullptr, 10));
  return std::clamp(asked, 1U, kMost);
}

unsigned lane_share(Lane lane, unsigned threads) noexcept {
  const unsigned half = lane == Lane::disk ? threads / 2 : threads - threads / 2;
  return std::max(half, 1U);
}

// Frees itself when libuv gives it back. `data` is the PoolWork, null once it was abandoned: its
// closures are gone by then, and the PoolWork may be.
struct PoolWork::Item : uv_work_t, RingLink {
  Item(PoolWork& owner, Lane of, UniqueFunction<void()> to_do, UniqueFunction<void()> then) noexcept
      : uv_work_t{}, lane(of), work(std::move(to_do)), done(std::move(then)) {
    data = &owner;
  }

  const Lane lane;
  UniqueFunction<void()> work;
  UniqueFunction<void()> done;
  std::atomic<bool> finished = false;  // set by the worker
};

void PoolWork::add(Lane lane, UniqueFunction<void()> work, UniqueFunction<void()> done) {
  (new Item(*this, lane, std::move(work), std::move(done)))->join_before(queue(lane).waiting);
  fill_pool(lane);
}

// Hands libuv what has waited longest, if there is any and the lane's share has room for it.
void PoolWork::fill_pool(Lane lane) noexcept {
  Queue& from = queue(lane);
  if (from.waiting.alone() || from.pool_count == lane_share(lane, threads_of_this_pool())) return;
  Item& item = static_cast<Item&>(*from.waiting.next());
  item.join_before(from.in_pool);
  ++from.pool_count;
  // noexcept: an exception ends the process with its message rather than leaving libuv in the
  // middle of something.
  [[maybe_unused]] const int status = uv_queue_work(
      &uv_, &item,
      [](uv_work_t* raw) noexcept {
        auto* self = static_cast<Item*>(raw);
        self->work();
        self->finished = true;
        self->finished.notify_one();
      },
      [](uv_work_t* raw, int) noexcept {
        const std::unique_ptr<Item> self(static_cast<Item*>(raw));
        if (self->data == nullptr) return;
        PoolWork& owner = *static_cast<PoolWork*>(self->data);
        self->leave();
        --owner.queue(self->lane).pool_count;
        owner.fill_pool(self->lane);
        if (self->done) self->done();
      });
  assert(status == 0);
}

void PoolWork::abandon() noexcept {
  for (Queue& each : queues_) {
    while (!each.in_pool.alone()) abandon(static_cast<Item&>(*each.in_pool.next()));
    while (!each.waiting.alone()) delete static_cast<Item*>(each.waiting.next());
  }
}

void PoolWork::abandon(Item& item) noexcept {
  item.join_before(abandoned_);
  item.data = nullptr;
  if (uv_cancel(reinterpret_cast<uv_req_t*>(static_cast<uv_work_t*>(&item))) < 0) {
    item.finished.wait(false);
  }
  item.work.reset();
  item.done.reset();
}

}  // namespace v0
}  // namespace cleave
