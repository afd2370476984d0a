// SPDX-License-Identifier: MIT
#include "cleave/bin/load/live_line.h"

#include <unistd.h>

#include <cstdio>

#include "cleave/bin/load/figures.h"

namespace cleave::load {

LiveLine::LiveLine() : shown_(::isatty(STDERR_FILENO) == 1) {}

void LiveLine::begin(const Counts& counts) noexcept {
  began_ = counts.now;
  last_ = counts;
}

void LiveLine::show(const Counts& counts, const Histogram& since_last, bool measuring) {
  if (shown_ && counts.now > last_.now) {
    const double seconds = static_cast<double>(counts.now - last_.now) / 1e9;
    const auto a_second = [seconds](std::uint64_t count) {
      return static_cast<double>(count) / seconds;
    };
    std::fprintf(
        stderr, "%4.0f s  %11s messages/s  %8s MB/s  p99 %s%s%s\n",
        static_cast<double>(counts.now - began_) / 1e9,
        grouped(a_second(counts.messages - last_.messages)).c_str(),
        megabytes(a_second(counts.bytes - last_.bytes)).c_str(),
        duration(since_last.value_at(0.99)).c_str(),
        counts.failures > last_.failures
            ? ("  errors " + grouped(a_second(counts.failures - last_.failures)) + "/s").c_str()
            : "",
        measuring ? "" : "  (not measured)");
  }
  last_ = counts;
}

}  // namespace cleave::load
