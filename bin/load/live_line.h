// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "cleave/bin/load/histogram.h"

namespace cleave::load {

// A line a second on standard error, for whoever watches: nothing where that is no terminal.
class LiveLine {
 public:
  // What has been counted so far.
  struct Counts {
    std::uint64_t now = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;  // both ways
    std::uint64_t failures = 0;
  };

  LiveLine();
  void begin(const Counts& counts) noexcept;
  void show(const Counts& counts, const Histogram& since_last, bool measuring);

 private:
  bool shown_;
  std::uint64_t began_ = 0;
  Counts last_;
};

}  // namespace cleave::load
