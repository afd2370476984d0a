// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

namespace cleave {
inline namespace v0 {

// A queue that mostly holds one element or none: the first lies in the queue itself, and only a
// second one needs memory (an empty std::deque alone takes 600 bytes).
template <typename T>
class ShortQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return !front_.has_value(); }
  [[nodiscard]] T& front() noexcept { return *front_; }
  void push_back(T&& element) {
    if (!front_) {
      front_.emplace(std::move(element));
      return;
    }
    if (!rest_) rest_ = std::make_unique<std::deque<T>>();
    rest_->push_back(std::move(element));
  }
  void pop_front() {
    front_.reset();
    if (!rest_ || rest_->empty()) return;
    front_.emplace(std::move(rest_->front()));
    rest_->pop_front();
  }
  void clear() noexcept {
    front_.reset();
    rest_.reset();
  }

 private:
  std::optional<T> front_;  // not empty unless all is
  std::unique_ptr<std::deque<T>> rest_;
};

}  // namespace v0
}  // namespace cleave
