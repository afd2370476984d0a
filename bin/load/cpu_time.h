// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace cleave::load {

// The processor time that something has used so far, in nanoseconds, user and system.

[[nodiscard]] std::uint64_t cpu_time_of_this_thread() noexcept;
// All threads of a process, those that have ended too; empty where there is no such process.
[[nodiscard]] std::optional<std::uint64_t> cpu_time_of(pid_t pid) noexcept;

}  // namespace cleave::load
