// SPDX-License-Identifier: MIT
#include "cleave/core/block.h"

#include <cassert>
#include <cstring>

namespace cleave {
inline namespace v0 {

Block::Block(BlockPool& pool, std::size_t capacity)
    : memory_(std::make_unique_for_overwrite<char[]>(capacity)),
      pool_(&pool),
      capacity_(capacity) {}

void Block::charge(const Ref<Account>& account, Account::Use use) {
  if (account_) {
    if (use_ == use || use != Account::Use::window) return;
    account_->charge(use, capacity_);
    account_->release(use_, capacity_);
    use_ = use;
    return;
  }
  account_ = account;
  use_ = use;
  account_->charge(use, capacity_);
}

void Block::last_ref_dropped() noexcept {
  if (account_) {
    const Ref<Account> account = std::exchange(account_, {});
    account->release(use_, capacity_);
  }
  if (pool_ == nullptr) {
    delete this;
  } else {
    pool_->give_back(this);
  }
}

BlockPool::~BlockPool() {
  for (std::vector<Block*>& blocks : free_) {
    for (Block* block : blocks) delete block;
  }
}

Ref<Block> BlockPool::slab() {
  return take(kClasses.size() - 1);
}

Ref<Block> BlockPool::copy_of(std::string_view bytes) {
  assert(bytes.size() <= kCopyBytes);
  std::size_t size_class = 0;
  while (kClasses[size_class] < bytes.size()) ++size_class;
  Ref<Block> block = take(size_class);
  std::memcpy(block->data(), bytes.data(), bytes.size());
  return block;
}

Ref<Block> BlockPool::take(std::size_t size_class) {
  std::vector<Block*>& blocks = free_[size_class];
  if (blocks.empty()) return Ref<Block>(new Block(*this, kClasses[size_class]));
  Block* block = blocks.back();
  blocks.pop_back();
  return Ref<Block>(block);
}

void BlockPool::give_back(Block* block) noexcept {
  std::size_t size_class = 0;
  while (kClasses[size_class] < block->capacity()) ++size_class;
  std::vector<Block*>& blocks = free_[size_class];
  if (blocks.size() == kKept[size_class]) {
    delete block;
    return;
  }
  blocks.push_back(block);
}

}  // namespace v0
}  // namespace cleave
