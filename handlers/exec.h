// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "cleave/core/limits.h"
#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// What `exec` may do.
enum class ExecMode : std::uint8_t {
  off,    // nothing: every request is answered with `permission_denied`
  shell,  // any program and any shell line, with all rights of this process
};

// The limits are named in the configuration and in `limits` as they are here.
struct ExecOptions {
  ExecMode mode = ExecMode::off;
  std::uint64_t exec_timeout_ms = 60'000;
  std::uint64_t exec_linger_ms = 500;
  std::uint64_t exec_kill_grace_ms = 2'000;
  std::uint64_t exec_output_bytes = 16 * 1024 * 1024;
  std::uint64_t exec_line_bytes = 1'024;
  std::uint64_t exec_max_running = 32;
};
// The limits among them, with their ranges and reasons. Static storage.
[[nodiscard]] CLEAVE_API std::span<const LimitOf<ExecOptions>> exec_limit_table() noexcept;

// `exec`: runs a program (`argv`) or a shell line (`shell`) with the body as its standard input.
// With an `id` the output is sent as it comes, and a reader that is slow slows the program down;
// without one it is gathered, up to `exec_output_bytes`. With ExecMode::shell it serves bare
// messages as well (the wires raw, ready, prefix and header), as lines of a shell. Programs that
// still run when the router is destroyed are killed. `loop` must outlive the router.
CLEAVE_API void add_exec(Router& router, Loop& loop, const ExecOptions& options);

}  // namespace v0
}  // namespace cleave
