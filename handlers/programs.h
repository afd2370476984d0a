// SPDX-License-Identifier: MIT
#pragma once
// Internal: what all runs of a server share.

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "cleave/core/loop.h"
#include "cleave/core/process.h"
#include "cleave/handlers/exec_options.h"
#include "cleave/handlers/remains.h"

namespace cleave {
inline namespace v0 {

class Run;

// Belongs to the route, and owns every run until its child was reaped: a run outlives the request
// that it was started for.
class Programs {
 public:
  // What one read takes: all that a pipe holds by default.
  static constexpr std::size_t kReadBytes = 64 * 1024;
  // How many of them in a turn of the loop: a program may write as fast as it is read.
  static constexpr int kReadsATurn = 8;

  Programs(Loop& loop, ExecOptions options)
      : loop_(loop),
        options_(std::make_shared<const ExecOptions>(std::move(options))),
        remains_(loop, options_->cgroups) {}
  // Kills what runs, and what is left of what ran.
  ~Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  [[nodiscard]] const ExecOptions& options() const noexcept { return *options_; }
  // For work in the pool, which may outlive us.
  [[nodiscard]] const std::shared_ptr<const ExecOptions>& shared_options() const noexcept {
    return options_;
  }
  [[nodiscard]] Remains& remains() noexcept { return remains_; }
  [[nodiscard]] std::array<char, kReadBytes>& scratch() noexcept { return scratch_; }

  // A place for one more run, of a named command (or null). `busy` where there is none; else it is
  // taken until it is given back.
  [[nodiscard]] Result<void> take_place(const NamedCommand* command, std::string_view name);
  void give_back_place(const NamedCommand* command) noexcept;

  void own(std::shared_ptr<Run> run) { running_.insert(std::move(run)); }
  void let_go(const std::shared_ptr<Run>& run) { running_.erase(run); }
  // Of a run that is over, whose group has had SIGTERM: who is left in it gets SIGKILL when the
  // grace is over.
  void end_at(Time time, std::unique_ptr<Process> process, std::string mark);

 private:
  struct Ending {
    Ending(Programs& a_programs, std::unique_ptr<Process> a_process, std::string a_mark)
        : programs(a_programs),
          process(std::move(a_process)),
          mark(std::move(a_mark)),
          timer(programs.loop_, [this] { programs.endings_.erase(place); }) {}
    ~Ending();
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;

    Programs& programs;
    std::unique_ptr<Process> process;
    std::string mark;
    Timer timer;
    std::list<Ending>::iterator place;
  };

  Loop& loop_;
  const std::shared_ptr<const ExecOptions> options_;
  Remains remains_;
  std::set<std::shared_ptr<Run>> running_;
  std::list<Ending> endings_;
  std::size_t places_taken_ = 0;
  std::map<const NamedCommand*, std::size_t> taken_by_command_;
  std::array<char, kReadBytes> scratch_{};
};

}  // namespace v0
}  // namespace cleave
