// SPDX-License-Identifier: MIT
#include "cleave/bin/client/nearest.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace cleave::cli {
namespace {

// Words that are longer than any name are near none.
constexpr std::size_t kLongestWord = 32;

// How many letters have to be added, removed, replaced or swapped to make one of the other.
std::size_t steps_between(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> steps((a.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
    return steps[i * width + j];
  };
  for (std::size_t i = 0; i <= a.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= b.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({replaced, at(i - 1, j) + 1, at(i, j - 1) + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return steps.back();
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> names) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string_view found;
  // With more mistakes than letters that are right, any name would do.
  std::size_t least = word.size() < 3 ? 1 : word.size() < 6 ? 2 : 3;
  for (const std::string_view name : names) {
    if (name.starts_with(word)) return name;
    const std::size_t steps = steps_between(word, name);
    if (steps < std::min(least, word.size())) {
      found = name;
      least = steps;
    }
  }
  return found;
}

}  // namespace cleave::cli
