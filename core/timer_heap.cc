// SPDX-License-Identifier: MIT
#include "cleave/core/timer_heap.h"

#include <cassert>
#include <tuple>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

bool earlier(const TimerNode* a, const TimerNode* b) noexcept {
  return std::tie(a->due, a->order) < std::tie(b->due, b->order);
}

}  // namespace

void TimerHeap::put(TimerNode& node, Time due) {
  assert(node.place == TimerNode::kOut);
  nodes_.push_back(&node);
  node.due = due;
  node.order = next_order_++;
  rise(nodes_.size() - 1);
}

void TimerHeap::take(TimerNode& node) noexcept {
  const std::size_t place = std::exchange(node.place, TimerNode::kOut);
  assert(place < nodes_.size() && nodes_[place] == &node);
  TimerNode* last = nodes_.back();
  nodes_.pop_back();
  if (last == &node) return;
  set(place, last);
  sink(place);
  rise(last->place);
}

void TimerHeap::rise(std::size_t place) noexcept {
  TimerNode* node = nodes_[place];
  while (place > 0 && earlier(node, nodes_[(place - 1) / 2])) {
    set(place, nodes_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  set(place, node);
}

void TimerHeap::sink(std::size_t place) noexcept {
  TimerNode* node = nodes_[place];
  for (;;) {
    std::size_t child = 2 * place + 1;
    if (child >= nodes_.size()) break;
    if (child + 1 < nodes_.size() && earlier(nodes_[child + 1], nodes_[child])) ++child;
    if (!earlier(nodes_[child], node)) break;
    set(place, nodes_[child]);
    place = child;
  }
  set(place, node);
}

void TimerHeap::set(std::size_t place, TimerNode* node) noexcept {
  nodes_[place] = node;
  node->place = place;
}

}  // namespace v0
}  // namespace cleave
