// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace cleave::load {

// Counts times (or whatever else is a number) by their size, in constant memory, so that quantiles
// of any number of them can be told. Numbers below 128 are counted as they are, larger ones to six
// bits behind their first: the relative error is at most 1/64. The largest is kept exactly.
class Histogram {
 public:
  void record(std::uint64_t nanoseconds) noexcept {
    ++counts_[index_of(nanoseconds)];
    ++count_;
    max_ = std::max(max_, nanoseconds);
  }
  // Adds what another one has counted.
  void merge(const Histogram& other) noexcept;
  void clear() noexcept { *this = Histogram(); }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  // What at least the part `quantile` (0 to 1) of the numbers does not exceed: never less than the
  // exact quantile, and at most 1/64 more. 0 where nothing was recorded.
  [[nodiscard]] std::uint64_t value_at(double quantile) const noexcept;

 private:
  static constexpr unsigned kBits = 6;
  static constexpr std::uint64_t kPerPower = 1U << kBits;  // classes for each power of two
  // The first 2 * kPerPower numbers have classes of their own, and then each power of two its
  // share.
  static constexpr std::size_t kClasses = 2 * kPerPower + (64 - kBits - 1) * kPerPower;

  // How many of its last bits do not count.
  static constexpr unsigned shift_of(std::uint64_t number) noexcept {
    return static_cast<unsigned>(std::bit_width(number | kPerPower)) - kBits - 1;
  }
  static constexpr std::size_t index_of(std::uint64_t number) noexcept {
    const unsigned shift = shift_of(number);
    return static_cast<std::size_t>(shift * kPerPower + (number >> shift));
  }
  // The largest number of a class.
  static constexpr std::uint64_t last_of(std::size_t index) noexcept {
    if (index < 2 * kPerPower) return index;
    const std::uint64_t shift = index / kPerPower - 1;
    const std::uint64_t first = (index - shift * kPerPower) << shift;
    return first + (std::uint64_t{1} << shift) - 1;
  }

  std::array<std::uint64_t, kClasses> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace cleave::load
