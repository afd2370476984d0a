// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/result.h"

namespace cleave::load {

// Nanoseconds of the clock that the alarm goes by, which is monotonic.
[[nodiscard]] std::uint64_t now_ns() noexcept;

// Calls back on a loop at a time that is finer than a loop's milliseconds, where the system has
// such a thing (Linux: timerfd); elsewhere at the millisecond after it.
class Alarm {
 public:
  [[nodiscard]] static Result<Alarm> create(Loop& loop, UniqueFunction<void()> callback);
  Alarm(Alarm&&) noexcept;
  Alarm& operator=(Alarm&&) noexcept;
  ~Alarm();

  // Once, at the time `at` of now_ns(); forgets what was set before.
  void set(std::uint64_t at);
  void stop();

 private:
  struct State;
  explicit Alarm(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace cleave::load
