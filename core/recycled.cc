// SPDX-License-Identifier: MIT
#include "cleave/core/recycled.h"

#include <array>
#include <cstdint>
#include <new>

namespace cleave {
inline namespace v0 {
namespace {

// Under a sanitizer everything goes to the allocator, or a use after the end would not be seen.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kRecycles = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kRecycles = false;
#else
constexpr bool kRecycles = true;
#endif
#else
constexpr bool kRecycles = true;
#endif

constexpr std::size_t kStep = 64;
// Pieces that are kept of a size: the requests of one turn, and at most 256 KiB in all of the
// largest.
constexpr std::uint32_t kKept = 256;

struct Piece {
  Piece* next;
};

struct List {
  Piece* first = nullptr;
  std::uint32_t count = 0;

  void push(void* memory) noexcept {
    first = ::new (memory) Piece{first};
    ++count;
  }
  [[nodiscard]] void* pop() noexcept {
    Piece* piece = first;
    first = piece->next;
    --count;
    return piece;
  }
};

// Of a thread. Without a destructor, as what other destructors of the thread give back comes later.
constinit thread_local std::array<List, RecycledMemory::kMaxBytes / kStep> lists{};
constinit thread_local bool thread_ends = false;

struct AtThreadEnd {
  ~AtThreadEnd() {
    thread_ends = true;
    for (List& list : lists) {
      while (list.first != nullptr) ::operator delete(list.pop());
    }
  }
};

std::size_t index_of(std::size_t bytes) noexcept {
  return (bytes - 1) / kStep;
}

}  // namespace

void* RecycledMemory::take(std::size_t bytes) {
  if (!kRecycles || bytes > kMaxBytes || bytes == 0) return ::operator new(bytes);
  const std::size_t index = index_of(bytes);
  List& list = lists[index];
  return list.first != nullptr ? list.pop() : ::operator new((index + 1) * kStep);
}

void RecycledMemory::give_back(void* memory, std::size_t bytes) noexcept {
  if (!kRecycles || bytes > kMaxBytes || bytes == 0) return ::operator delete(memory);
  List& list = lists[index_of(bytes)];
  if (list.count == kKept || thread_ends) return ::operator delete(memory);
  if (list.count == 0) {
    static thread_local const AtThreadEnd at_thread_end;
    (void)at_thread_end;
  }
  list.push(memory);
}

}  // namespace v0
}  // namespace cleave
