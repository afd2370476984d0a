// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace cleave::load {

// Figures as people read them.

// "1,234,567"; below ten with one digit behind the point.
[[nodiscard]] std::string grouped(double number);
[[nodiscard]] std::string grouped(std::uint64_t number);
// "412 us", "1.40 ms", "12.3 s".
[[nodiscard]] std::string duration(std::uint64_t nanoseconds);
// Of bytes: "119.3".
[[nodiscard]] std::string megabytes(double bytes);
// "64 B", "8 MiB", "1.5 KiB".
[[nodiscard]] std::string size(std::uint64_t bytes);
// Of a part of 1: "98 %".
[[nodiscard]] std::string percent(double part);

}  // namespace cleave::load
