// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cleave/protocol/result.h"

namespace cleave::load {

// The body of every request. What is made up is a block that repeats, so that it may have any size;
// a file is in memory once.
class Body {
 public:
  // Printable characters in no order. A block's length is prime: bytes that a server has moved by a
  // power of two are not the same.
  [[nodiscard]] static Body made_up(std::uint64_t size);
  [[nodiscard]] static Result<Body> from_file(const std::string& path);

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // What lies in one piece from `offset` on, which is below size(). Never empty.
  [[nodiscard]] std::string_view piece(std::uint64_t offset) const noexcept {
    // A division takes as long as all the rest.
    const std::uint64_t at = offset < block_.size() ? offset : offset % block_.size();
    return std::string_view(block_).substr(at, size_ - offset);
  }

 private:
  Body(std::string block, std::uint64_t size) : block_(std::move(block)), size_(size) {}

  std::string block_;
  std::uint64_t size_;
};

}  // namespace cleave::load
