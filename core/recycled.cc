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

class Pieces {
 public:
  constexpr Pieces() noexcept = default;
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;
  ~Pieces() {
    for (List& list : lists_) {
      while (list.first != nullptr) ::operator delete(pop(list));
      list.count = kKept;  // what comes later, from other destructors of the thread, is not kept
    }
  }

  [[nodiscard]] void* take(std::size_t bytes) {
    const std::size_t index = (bytes - 1) / kStep;
    List& list = lists_[index];
    return list.first != nullptr ? pop(list) : ::operator new((index + 1) * kStep);
  }
  void give_back(void* memory, std::size_t bytes) noexcept {
    List& list = lists_[(bytes - 1) / kStep];
    if (list.count == kKept) return ::operator delete(memory);
    list.first = ::new (memory) Piece{list.first};
    ++list.count;
  }

 private:
  struct List {
    Piece* first = nullptr;
    std::uint32_t count = 0;
  };

  [[nodiscard]] static void* pop(List& list) noexcept {
    Piece* piece = list.first;
    list.first = piece->next;
    --list.count;
    return piece;
  }

  std::array<List, RecycledMemory::kMaxBytes / kStep> lists_{};
};

constinit thread_local Pieces pieces;

}  // namespace

void* RecycledMemory::take(std::size_t bytes) {
  if (!kRecycles || bytes > kMaxBytes || bytes == 0) return ::operator new(bytes);
  return pieces.take(bytes);
}

void RecycledMemory::give_back(void* memory, std::size_t bytes) noexcept {
  if (!kRecycles || bytes > kMaxBytes || bytes == 0) return ::operator delete(memory);
  pieces.give_back(memory, bytes);
}

}  // namespace v0
}  // namespace cleave
