// SPDX-License-Identifier: MIT
#include "cleave/bin/load/histogram.h"

#include <cmath>

namespace cleave::load {

void Histogram::merge(const Histogram& other) noexcept {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::value_at(double quantile) const noexcept {
  if (count_ == 0) return 0;
  // Computed as a double, the rank of the last number could be one too many.
  const double exact = std::ceil(std::clamp(quantile, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t rank =
      std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact), 1, count_);
  std::uint64_t passed = 0;
  std::size_t index = 0;
  while ((passed += counts_[index]) < rank) ++index;
  return std::min(last_of(index), max_);
}

}  // namespace cleave::load
