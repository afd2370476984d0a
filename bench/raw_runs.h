// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace cleave::bench {

// What those do that `exec` is compared with: they run a program over and over, so many at once, as
// long as a connection is open, without being asked for each. A byte that comes on a connection is
// answered with the number of runs that are over, 8 bytes.
constexpr std::size_t kRunsAtOnce = 4;
constexpr char kProgram[] = "/bin/true";

// Memory that a process has touched and holds, `text` bytes of it, so that starting a program costs
// what it costs a process of that size.
class HeldMemory {
 public:
  explicit HeldMemory(const char* text) {
    const std::size_t size = std::strtoull(text, nullptr, 10);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    bytes_ = std::make_unique_for_overwrite<char[]>(size);
    for (std::size_t at = 0; at < size; at += page) bytes_[at] = 1;
  }

 private:
  std::unique_ptr<char[]> bytes_;
};

}  // namespace cleave::bench
