// SPDX-License-Identifier: MIT
#include "cleave/bin/load/cpu_time.h"

#include <ctime>

namespace cleave::load {
namespace {

std::optional<std::uint64_t> read(clockid_t clock) noexcept {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::uint64_t cpu_time_of_this_thread() noexcept {
  return read(CLOCK_THREAD_CPUTIME_ID).value_or(0);
}

std::optional<std::uint64_t> cpu_time_of(pid_t pid) noexcept {
  clockid_t clock{};
  if (::clock_getcpuclockid(pid, &clock) != 0) return std::nullopt;
  return read(clock);
}

}  // namespace cleave::load
