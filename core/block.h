// SPDX-License-Identifier: MIT
#pragma once
// Internal: the memory behind Buffers.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/unique_function.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class BlockPool;

// What a connection's kept bytes count against: the capacity of the blocks that they keep alive.
class Window final : public RefCounted<Window> {
 public:
  // `opened` is called when the window was full and has fallen to half; not after detach().
  Window(std::uint64_t high, UniqueFunction<void()> opened)
      : high_(high), opened_(std::move(opened)) {}

  void charge(std::size_t bytes) noexcept { used_ += bytes; }
  void release(std::size_t bytes);
  // True from the moment the high mark is reached until half of it is.
  [[nodiscard]] bool full() noexcept {
    if (used_ >= high_) full_ = true;
    return full_;
  }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
  void set_high(std::uint64_t high) noexcept { high_ = high; }
  void detach() noexcept { opened_.reset(); }

 private:
  std::uint64_t used_ = 0;
  std::uint64_t high_;
  bool full_ = false;
  UniqueFunction<void()> opened_;
};

// A piece of memory with a count of the Buffers that lie in it. Either bytes of its own (a
// string), or memory of a pool, to which it returns.
class Block final : public RefCounted<Block> {
 public:
  explicit Block(std::string text) : text_(std::move(text)) {}
  Block(BlockPool& pool, std::size_t capacity);

  [[nodiscard]] char* data() noexcept { return pool_ == nullptr ? text_.data() : memory_.get(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

  // Counts the block against a window until the block is free; once, further calls do nothing.
  void charge(const Ref<Window>& window);
  void last_ref_dropped() noexcept;

 private:
  std::string text_;
  std::unique_ptr<char[]> memory_;
  BlockPool* pool_ = nullptr;
  std::size_t capacity_ = 0;
  Ref<Window> window_;
};

// A loop's blocks, recycled: large ones are what sockets are read into, small ones hold copies of
// small chunks. glibc gives large blocks back to the system when they are freed, and page faults
// make every read dear again (measured: up to six-fold for bodies of 1 MiB).
class BlockPool {
 public:
  // One read call: large enough that a body of any size needs few of them, small enough that a
  // few hundred slow connections that pin one each are no danger.
  static constexpr std::size_t kSlabBytes = 256 * 1024;
  // Chunks up to this size are copied when they are kept, as pinning a slab for less costs more.
  static constexpr std::size_t kCopyBytes = 16 * 1024;

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A block of kSlabBytes that nobody else refers to.
  [[nodiscard]] Ref<Block> slab();
  // The block that holds a copy of `bytes`, at most kCopyBytes.
  [[nodiscard]] Ref<Block> copy_of(std::string_view bytes);

 private:
  friend class Block;
  static constexpr std::array<std::size_t, 4> kClasses = {256, 2'048, kCopyBytes, kSlabBytes};
  // Free blocks that are kept of each class; beyond that they go back to the allocator.
  static constexpr std::array<std::size_t, 4> kKept = {1'024, 256, 64, 32};

  [[nodiscard]] Ref<Block> take(std::size_t size_class);
  void give_back(Block* block) noexcept;

  std::array<std::vector<Block*>, 4> free_;
};

}  // namespace v0
}  // namespace cleave
