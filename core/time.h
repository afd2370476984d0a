// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

namespace cleave {
inline namespace v0 {

using Millis = std::chrono::milliseconds;

// The time of a loop: monotonic milliseconds from an arbitrary start. The wall clock may jump;
// nothing in Cleave is timed by it.
struct LoopClock {
  using duration = Millis;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<LoopClock, duration>;
  static constexpr bool is_steady = true;
};
using Time = LoopClock::time_point;

// Where a loop's time comes from, if not from the system: tests move it by hand.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Time now() const = 0;
};

}  // namespace v0
}  // namespace cleave
