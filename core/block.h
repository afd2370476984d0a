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

#include "cleave/core/account.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class BlockPool;

// A piece of memory with a count of the Buffers that lie in it. Either bytes of its own (a
// string), or memory of a pool, to which it returns.
class Block final : public RefCounted<Block> {
 public:
  explicit Block(std::string text) : text_(std::move(text)), capacity_(text_.capacity()) {}
  Block(BlockPool& pool, std::size_t capacity);

  [[nodiscard]] char* data() noexcept { return pool_ == nullptr ? text_.data() : memory_.get(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

  // Counts the block against an account until the block is free. Once: further calls do nothing,
  // but that what counted for something else counts against the window when it is kept.
  void charge(const Ref<Account>& account, Account::Use use);
  [[nodiscard]] bool charged() const noexcept { return static_cast<bool>(account_); }
  void last_ref_dropped() noexcept;

 private:
  std::string text_;
  std::unique_ptr<char[]> memory_;
  BlockPool* pool_ = nullptr;
  std::size_t capacity_ = 0;
  Ref<Account> account_;
  Account::Use use_ = Account::Use::window;
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
  static constexpr std::size_t kCopyBytes = 8 * 1024;

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
