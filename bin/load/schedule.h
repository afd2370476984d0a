// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

namespace cleave::load {

// When the requests of an open loop are due: so many a second, equally far from each other,
// whatever becomes of them. Times are nanoseconds of any one clock.
class Schedule {
 public:
  Schedule(std::uint64_t start, double per_second) noexcept
      : start_(start), step_(1e9 / per_second) {}

  // When the next request is due.
  [[nodiscard]] std::uint64_t next_due() const noexcept { return due(taken_); }
  // It is made: the time from which it counts.
  std::uint64_t take() noexcept { return due(taken_++); }
  // How many are due at `now` and have not been taken.
  [[nodiscard]] std::uint64_t waiting(std::uint64_t now) const noexcept {
    if (now < next_due()) return 0;
    const double passed = std::floor(static_cast<double>(now - start_) / step_);
    const auto all = static_cast<std::uint64_t>(passed) + 1;
    return all > taken_ ? all - taken_ : 0;
  }

 private:
  // Counted from the start each time, so that no error adds up.
  [[nodiscard]] std::uint64_t due(std::uint64_t index) const noexcept {
    return start_ + static_cast<std::uint64_t>(static_cast<double>(index) * step_);
  }

  std::uint64_t start_;
  double step_;
  std::uint64_t taken_ = 0;
};

}  // namespace cleave::load
