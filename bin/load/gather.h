// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace cleave::load {

// What one write takes: pieces of memory in order, of which neighbours become one. Bytes that lie
// nowhere yet are made in its own memory.
class Gather {
 public:
  explicit Gather(std::size_t own_bytes) : own_(own_bytes) {}

  void clear() noexcept {
    count_ = 0;
    used_ = 0;
  }
  // False where there is no room for another piece.
  bool add(std::string_view piece) noexcept {
    if (count_ > 0) {
      std::string_view& last = pieces_[count_ - 1];
      if (last.data() + last.size() == piece.data()) {
        last = {last.data(), last.size() + piece.size()};
        return true;
      }
    }
    if (count_ == pieces_.size()) return false;
    pieces_[count_++] = piece;
    return true;
  }
  // Room for `size` bytes to be made in and then added; null where there is not so much left.
  [[nodiscard]] char* room_for(std::size_t size) noexcept {
    if (size > own_.size() - used_) return nullptr;
    used_ += size;
    return own_.data() + (used_ - size);
  }
  [[nodiscard]] std::span<const std::string_view> pieces() const noexcept {
    return {pieces_.data(), count_};
  }

 private:
  std::vector<char> own_;
  std::size_t used_ = 0;
  std::array<std::string_view, 64> pieces_;  // as many as a Stream's write takes
  std::size_t count_ = 0;
};

}  // namespace cleave::load
