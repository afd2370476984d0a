// SPDX-License-Identifier: MIT
#include "cleave/bin/load/figures.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

namespace cleave::load {
namespace {

std::string with(const char* form, double number) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), form, number);
  return text.data();
}

// Three digits that count, as far as a comma or a unit does not hide them.
std::string three_digits(double number) {
  if (number < 10) return with("%.2f", number);
  return with(number < 100 ? "%.1f" : "%.0f", number);
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string grouped(double number) {
  if (number > 0 && number < 10) return with("%.1f", number);
  return grouped(static_cast<std::uint64_t>(std::llround(number)));
}

std::string duration(std::uint64_t nanoseconds) {
  const auto number = static_cast<double>(nanoseconds);
  if (number < 999.5e3) return three_digits(number / 1e3) + " us";
  if (number < 999.5e6) return three_digits(number / 1e6) + " ms";
  return three_digits(number / 1e9) + " s";
}

std::string megabytes(double bytes) {
  return with("%.1f", bytes / 1e6);
}

std::string size(std::uint64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto number = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; number >= 1024 && unit + 1 < kUnits.size(); ++unit) number /= 1024;
  return with(number == std::floor(number) ? "%.0f " : "%.1f ", number) + kUnits[unit];
}

std::string percent(double part) {
  return with("%.0f %%", part * 100);
}

}  // namespace cleave::load
