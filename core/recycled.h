// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// The memory of small objects that come and go with every message, kept for the next ones of their
// size by the thread that gives it back. The allocator's own cache holds seven pieces of a size
// (glibc 2.36), and a turn has more requests than that.
class CLEAVE_API RecycledMemory {
 public:
  // Longer objects than this come from the allocator and return to it.
  static constexpr std::size_t kMaxBytes = 1'024;

  // As operator new and delete. `bytes` is the same in both calls.
  [[nodiscard]] static void* take(std::size_t bytes);
  static void give_back(void* memory, std::size_t bytes) noexcept;
};

// The base of a class whose objects are made by `new` in such memory.
struct Recycled {
  static void* operator new(std::size_t bytes) { return RecycledMemory::take(bytes); }
  static void operator delete(void* memory, std::size_t bytes) noexcept {
    RecycledMemory::give_back(memory, bytes);
  }
};

template <typename T>
struct RecyclingAllocator {
  using value_type = T;

  RecyclingAllocator() noexcept = default;
  template <typename U>
  RecyclingAllocator(const RecyclingAllocator<U>&) noexcept {}  // NOLINT: as allocators convert

  [[nodiscard]] T* allocate(std::size_t count) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    return static_cast<T*>(RecycledMemory::take(count * sizeof(T)));
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    RecycledMemory::give_back(memory, count * sizeof(T));
  }
  bool operator==(const RecyclingAllocator&) const noexcept = default;
};

// std::make_shared, in such memory: for handlers and sources, of which every request has its own.
template <typename T, typename... Args>
[[nodiscard]] std::shared_ptr<T> make_recycled(Args&&... args) {
  return std::allocate_shared<T>(RecyclingAllocator<T>(), std::forward<Args>(args)...);
}

}  // namespace v0
}  // namespace cleave
