// SPDX-License-Identifier: MIT
#include "cleave/core/buffer.h"

#include <cassert>
#include <utility>

#include "cleave/core/block.h"
#include "cleave/core/link.h"

namespace cleave {
inline namespace v0 {

const char Buffer::kMoved = 0;

Buffer::Buffer(Ref<Block> block, std::string_view bytes) noexcept
    : block_(std::move(block)), data_(bytes.data()), size_(bytes.size()) {}

Buffer::Buffer() noexcept = default;

Buffer::Buffer(Buffer&& other) noexcept
    : block_(std::move(other.block_)),
      data_(std::exchange(other.data_, &kMoved)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  block_ = std::move(other.block_);
  data_ = std::exchange(other.data_, &kMoved);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

Buffer::~Buffer() = default;

Buffer Buffer::own(std::string bytes) {
  auto block = make_ref<Block>(std::move(bytes));
  const std::string_view text = block->text();
  return Buffer(std::move(block), text);
}

Buffer Buffer::share() const {
  const std::string_view all = bytes();
  return Buffer(block_, all);
}

Buffer Buffer::take_front(std::size_t size) {
  assert(size <= this->size() && "more was taken from a Buffer than is in it");
  Buffer front(block_, {data_, size});
  drop_front(size);
  return front;
}

void Buffer::drop_front(std::size_t size) noexcept {
  assert(size <= this->size() && "more was taken from a Buffer than is in it");
  data_ += size;
  size_ -= size;
  if (size_ == 0) block_ = {};
}

Buffer Chunk::keep() && {
  return link_->keep(bytes_);
}

}  // namespace v0
}  // namespace cleave
