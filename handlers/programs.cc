// SPDX-License-Identifier: MIT
#include "cleave/handlers/programs.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "cleave/handlers/run.h"

namespace cleave {
inline namespace v0 {

Programs::~Programs() {
  for (const std::shared_ptr<Run>& run : running_) run->end_with_server();
  running_.clear();
  endings_.clear();
}

Result<void> Programs::take_place(const NamedCommand* command, std::string_view name) {
  if (places_taken_ >= options_->limits.exec_max_running) {
    return fail(
        Errc::busy,
        std::to_string(places_taken_) + " programs are running, exec_max_running allows no more",
        "exec_max_running");
  }
  std::size_t& alike = taken_by_command_[command];
  if (command != nullptr && command->max_parallel && alike >= *command->max_parallel) {
    return fail(Errc::busy, "'" + std::string(name) + "' is running " + std::to_string(alike) +
                                " times, its max_parallel allows no more");
  }
  ++alike;
  ++places_taken_;
  return {};
}

void Programs::give_back_place(const NamedCommand* command) noexcept {
  --places_taken_;
  --taken_by_command_.find(command)->second;
}

void Programs::end_at(Time time, std::unique_ptr<Process> process, std::string mark) {
  endings_.emplace_back(*this, std::move(process), std::move(mark));
  endings_.back().place = std::prev(endings_.end());
  endings_.back().timer.start(std::max(Millis(0), time - loop_.now()));
}

Programs::Ending::~Ending() {
  process->kill_group(SIGKILL);
  programs.remains_.clear(mark);
}

}  // namespace v0
}  // namespace cleave
