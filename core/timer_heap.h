// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cleave/core/time.h"

namespace cleave {
inline namespace v0 {

// Internal. What a timer is to the heap. The heap points at it; its owner takes it out before it
// destroys it.
struct TimerNode {
  static constexpr std::size_t kOut = static_cast<std::size_t>(-1);

  Time due{};
  std::uint64_t order = 0;   // among equals, who was put in first runs first
  std::size_t place = kOut;  // in the heap, so that taking out needs no search
};

// A binary heap of timers, the earliest on top. Nothing is allocated for a timer that is put in,
// but for the growth of one array of pointers.
class TimerHeap {
 public:
  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  // The earliest; not when empty.
  [[nodiscard]] TimerNode& top() const noexcept { return *nodes_.front(); }
  // The `order` that the next node put in will get.
  [[nodiscard]] std::uint64_t next_order() const noexcept { return next_order_; }

  // Puts in a node that is out.
  void put(TimerNode& node, Time due);
  // Takes out a node that is in.
  void take(TimerNode& node) noexcept;

 private:
  void rise(std::size_t place) noexcept;
  void sink(std::size_t place) noexcept;
  void set(std::size_t place, TimerNode* node) noexcept;

  std::vector<TimerNode*> nodes_;
  std::uint64_t next_order_ = 0;
};

}  // namespace v0
}  // namespace cleave
