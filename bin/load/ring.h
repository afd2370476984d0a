// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <cstddef>
#include <vector>

namespace cleave::load {

// First in, first out, of at most `capacity` things: allocates once.
template <typename T>
class Ring {
 public:
  explicit Ring(std::size_t capacity) : items_(capacity) {}

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T front() const noexcept { return (*this)[0]; }
  // The one that is `place` places behind the front.
  [[nodiscard]] T operator[](std::size_t place) const noexcept {
    assert(place < size_);
    return items_[wrapped(first_ + place)];
  }
  void push(T item) noexcept {
    assert(size_ < items_.size());
    items_[wrapped(first_ + size_)] = item;
    ++size_;
  }
  T pop() noexcept {
    const T item = front();
    first_ = wrapped(first_ + 1);
    --size_;
    return item;
  }

 private:
  [[nodiscard]] std::size_t wrapped(std::size_t index) const noexcept {
    return index < items_.size() ? index : index - items_.size();
  }

  std::vector<T> items_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace cleave::load
