// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "cleave/core/time.h"

namespace cleave::cli {

// How fast something goes now: over the last seconds, and not over all of it.
class RateMeter {
 public:
  void add(Time now, std::int64_t done);
  // So much of what was added last was done without going: it is no part of the rate.
  void jump(std::int64_t by);

  [[nodiscard]] double per_second() const;
  // Nothing has come for some seconds.
  [[nodiscard]] bool stalled() const;

 private:
  struct Sample {
    Time at;
    std::int64_t done;
  };
  std::deque<Sample> samples_;
  Time moved_;  // when the last of it came
};

// How far one transfer is, or all of a command.
struct TransferState {
  std::string name = {};  // what it is called, printable
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> total = {};
  double rate = 0;
  bool stalled = false;

  // From the rate; none where nobody can say.
  [[nodiscard]] std::optional<Millis> left() const;
};

struct LineLook {
  // Of the window. A line has three columns less, so that it never wraps, nor does the `^C` that a
  // terminal shows behind it.
  std::size_t width = 80;
  bool utf8 = false;
  bool coloured = false;
};

// All that fits, by its worth: the share that is done, the time that is left, the rate, the bytes,
// the name, and a bar in what room there is. Columns keep their places from one line to the next.
[[nodiscard]] std::string running_line(const TransferState& state, const LineLook& look);
// One of several that run at once: what it is, and how far.
[[nodiscard]] std::string file_line(const TransferState& state, const LineLook& look);
// How it has ended: bytes, of how many where that was not all, mean rate if any came, and time.
[[nodiscard]] std::string ended_line(const TransferState& state, Millis elapsed,
                                     const LineLook& look);

}  // namespace cleave::cli
