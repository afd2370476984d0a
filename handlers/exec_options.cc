// SPDX-License-Identifier: MIT
#include "cleave/handlers/exec_options.h"

#include <iterator>

namespace cleave {
inline namespace v0 {
namespace {

constexpr LimitOf<ExecLimits> kExecLimits[] = {
    {"exec_timeout_ms", &ExecLimits::exec_timeout_ms, 100, 30ULL * 24 * 3'600'000,
     "a program that nobody gave a timeout_ms: longer than one waits for a command, and a stuck "
     "one "
     "ends before it is forgotten"},
    {"exec_linger_ms", &ExecLimits::exec_linger_ms, 0, 3'600'000,
     "output that comes after the exit, from whoever still holds the pipes; then they are killed"},
    {"exec_kill_grace_ms", &ExecLimits::exec_kill_grace_ms, 0, 3'600'000,
     "from SIGTERM to SIGKILL; with the lingering it must stay below cancel_grace_ms"},
    {"exec_output_bytes", &ExecLimits::exec_output_bytes, 1'024, 1024ULL * 1024 * 1024,
     "output held for a reply without an id; whoever wants more sends an id"},
    {"exec_line_bytes", &ExecLimits::exec_line_bytes, 1, 64 * 1'024,
     "a bare message; less than fits in one packet on any network, as half a line would be run"},
    {"exec_max_running", &ExecLimits::exec_max_running, 1, 10'000,
     "programs at once: more than this slow each other down, and each holds three pipes"},
};
static_assert(std::size(kExecLimits) * sizeof(std::uint64_t) == sizeof(ExecLimits));

}  // namespace

std::span<const LimitOf<ExecLimits>> exec_limit_table() noexcept {
  return kExecLimits;
}

}  // namespace v0
}  // namespace cleave
