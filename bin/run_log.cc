// SPDX-License-Identifier: MIT
#include "cleave/bin/run_log.h"

#include <cstdint>
#include <optional>
#include <string>

#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {
namespace {

// Of a line of 4,096 bytes; what is longer is cut.
constexpr std::size_t kArgvBytes = 2'048;

std::string json_of(const std::vector<std::string>& argv) {
  std::string json = "[";
  for (const std::string& word : argv) {
    if (json.size() > 1) json += ',';
    if (json.size() > kArgvBytes) return json + "…]";
    append_json_string(json, word);
  }
  return json + "]";
}

}  // namespace

void log_run(Log& log, const RunRecord& run) {
  std::optional<std::uint64_t> uid;
  if (run.peer.credentials) uid = run.peer.credentials->uid;
  std::optional<std::uint64_t> code;
  std::optional<std::uint64_t> signal;
  if (run.exit && run.exit->code) {
    code = static_cast<std::uint64_t>(*run.exit->code);
  } else if (run.exit) {
    signal = static_cast<std::uint64_t>(run.exit->signal);
  }
  log.write(LogLevel::info, "run",
            {{"peer", run.peer.address},
             {"uid", uid},
             {"name", run.name},
             {"argv", json_of(run.argv)},
             {"exit_code", code},
             {"signal", signal},
             {"killed_by", run.killed_by},
             {"stdin_size", run.in_bytes},
             {"stdout_size", run.out_bytes},
             {"stderr_size", run.err_bytes},
             {"duration_ms", static_cast<std::uint64_t>(run.duration.count())}});
}

}  // namespace v0
}  // namespace cleave
