// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/limits.h"
#include "cleave/core/process.h"
#include "cleave/core/request.h"
#include "cleave/core/time.h"
#include "cleave/handlers/named_command.h"
#include "cleave/handlers/run_cgroups.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// What `exec` may do.
enum class ExecMode : std::uint8_t {
  off,    // nothing: every request is answered with `permission_denied`
  shell,  // any program and any shell line, with all rights of this process
  named,  // the named commands, and nothing else
};

// Named in the configuration and in `limits` as here.
struct ExecLimits {
  std::uint64_t exec_timeout_ms = 60'000;
  std::uint64_t exec_linger_ms = 500;
  std::uint64_t exec_kill_grace_ms = 2'000;
  std::uint64_t exec_output_bytes = 16 * 1024 * 1024;
  std::uint64_t exec_line_bytes = 1'024;
  std::uint64_t exec_max_running = 32;
};
// With their ranges and reasons. Static storage.
[[nodiscard]] CLEAVE_API std::span<const LimitOf<ExecLimits>> exec_limit_table() noexcept;

// A run that is over, for whoever keeps a record of them. Valid during the call.
struct RunRecord {
  const Peer& peer;
  std::string_view name;  // of the named command; empty for what a client wrote itself
  const std::vector<std::string>& argv;
  std::optional<ProcessExit> exit;  // empty: it was given up with the server
  std::string_view killed_by;       // as in the reply; empty: nobody
  std::uint64_t in_bytes;           // of its standard input
  std::uint64_t out_bytes;          // of its standard output and error, as far as they were read
  std::uint64_t err_bytes;
  Millis duration;
};

struct ExecOptions {
  ExecMode mode = ExecMode::off;
  ExecLimits limits = {};
  NamedCommands commands = {};
  // Where every run gets a cgroup of its own; null: nowhere.
  std::shared_ptr<const RunCgroups> cgroups = {};
  // Called once for every program that was started, on the loop's thread: when it has ended, and
  // its output was read or given up.
  std::function<void(const RunRecord&)> on_run = {};
};

}  // namespace v0
}  // namespace cleave
