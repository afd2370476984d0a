// SPDX-License-Identifier: MIT
#pragma once
// Internal: a program that runs for a request.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/core/buffer.h"
#include "cleave/core/loop.h"
#include "cleave/core/pipe.h"
#include "cleave/core/process.h"
#include "cleave/core/reply.h"
#include "cleave/handlers/programs.h"

namespace cleave {
inline namespace v0 {

// What is run, and for whom.
struct RunOptions {
  // Called in the pool.
  UniqueFunction<Result<ProcessOptions>()> process;
  Peer peer = {};
  bool has_deadline = false;
  // One of the options' commands, and its name, where it is such a one.
  std::string_view name = {};
  const NamedCommand* command = nullptr;
  // Of both streams together: more ends the program. The command may allow less.
  std::uint64_t output_bytes = kAnyOutput;

  static constexpr std::uint64_t kAnyOutput = std::uint64_t{1} << 62;
};

// A program of which nothing has to be found out.
inline UniqueFunction<Result<ProcessOptions>()> as_it_is(ProcessOptions process) {
  return [process = std::move(process)]() mutable -> Result<ProcessOptions> {
    return std::move(process);
  };
}

// One program, from its start until its child was reaped and its output has ended. It feeds the
// input, gives the output to whoever asks for it, and sees to it that there is an end:
//
//     starting --> running --exit--> lingering --both pipes end, or exec_linger_ms--> ended
//        |            \--stop(): SIGTERM, after the grace SIGKILL, to the group--^      ^
//        \--it cannot be started-------------------------------------------------------/
//
// It is started in the pool, as a program may be on a disk that hangs, but not in the lane of the
// disk: the one of the files may hang, and a program be on another.
//
// The exit of the child is not the end of its output, nor the other way round: a process in the
// background may hold the pipes for ever, and a child may close them and go on working. Who holds
// them when the lingering is over is killed, and what the pipes hold then is the last of it; how
// soon that is read does not matter.
class Run final : public std::enable_shared_from_this<Run> {
 public:
  Run(Programs& programs, RunOptions options, std::string mark);
  // Nobody is left behind of a run that was told to end.
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // An error where no more may run. Whether it can be started shows later.
  static Result<std::shared_ptr<Run>> start(Programs& programs, RunOptions options);

  // `changed` is called when read() may have more, or when the run may have ended.
  void on_change(UniqueFunction<void()> changed) { changed_ = std::move(changed); }

  void input(Buffer bytes) {
    input_.push_back(std::move(bytes));
    feed();
  }
  void end_of_input() {
    input_ended_ = true;
    feed();
  }

  // At most `room` bytes of one stream: empty when there is nothing now. Valid until the next call.
  struct Output {
    std::size_t stream;  // 0 standard output, 1 standard error
    std::string_view bytes;
  };
  Output read(std::size_t room);
  [[nodiscard]] bool ended() const noexcept {
    return stage_ == Stage::over && !pipes_[0].reader && !pipes_[1].reader;
  }

  // Makes the program end soon; its output can be read until it has. The first reason counts. One
  // that runs on when its client has gone does so, if that one has sent all of the input.
  void stop(CancelReason reason);
  // Makes the program end now, as there is no memory for its output.
  void give_up(Error error);
  // Nobody is interested any more: the program ends, and its output goes nowhere.
  void abandon();
  // Before the last owner lets go of it.
  void end_with_server();

  // Of a run that has ended.
  [[nodiscard]] bool was_started() const noexcept { return exit_.has_value(); }
  // Of a run that has ended: the members of its reply, none if it was never started; and its error
  // if it could not be started, or was stopped.
  [[nodiscard]] Members members() const;
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  // Of one stream, that were read.
  [[nodiscard]] std::uint64_t bytes(std::size_t stream) const noexcept {
    return pipes_[stream].bytes;
  }
  // As many of both streams are read.
  [[nodiscard]] std::uint64_t output_bytes() const noexcept { return options_.output_bytes; }

 private:
  struct Pipe {
    std::optional<PipeReader> reader;     // empty: it has ended
    std::optional<std::size_t> leftover;  // all that is still read of one that others hold
    std::uint64_t bytes = 0;              // that were read
  };
  enum class Stage : std::uint8_t { starting, running, over };
  // A program that was started in the pool.
  struct Loaded {
    StartedProcess process;
    std::vector<std::string> argv;
  };

  static Result<Loaded> load(UniqueFunction<Result<ProcessOptions>()>& process,
                             const RunCgroups* cgroups, const std::string& mark);
  void on_loaded(Result<Loaded> loaded);
  Result<void> look_after(StartedProcess process);
  void on_no_start(Error error);
  void on_exit(ProcessExit exit);

  void feed();
  std::size_t read_some(Pipe& pipe, std::size_t room);
  void read_to_nobody();
  void changed() {
    if (changed_) changed_();
  }

  void stop(Error error, std::string_view killed_by);
  void terminate();
  void signal_end();
  void truncate(std::string_view why);
  void let_output_go();
  void on_limit();
  void on_silence();
  void on_grace_over();
  void on_linger_over();

  // What it leaves running, and does not answer for, is left alone.
  [[nodiscard]] bool may_leave_some() const noexcept;
  [[nodiscard]] bool in_cgroup() const noexcept;

  Programs& programs_;
  RunOptions options_;
  const std::string mark_;         // in the environment of everybody who descends from it
  std::vector<std::string> argv_;  // as it was started
  std::unique_ptr<Process> process_;
  std::array<Pipe, 2> pipes_;
  std::size_t turn_ = 0;  // the stream that was read last
  std::optional<PipeWriter> writer_;
  std::deque<Buffer> input_;
  UniqueFunction<void()> changed_;
  Timer limit_;
  Timer silence_;
  Timer grace_;
  Timer linger_;

  Stage stage_ = Stage::starting;
  Time started_;
  Time grace_end_;
  Millis duration_{};
  std::optional<ProcessExit> exit_;
  std::optional<Error> error_;
  std::string_view killed_by_;  // why it was stopped; static storage
  std::uint64_t in_bytes_ = 0;
  bool input_ended_ = false;
  bool stopped_ = false;
  bool detached_ = false;
  bool abandoned_ = false;
  bool truncated_ = false;
  bool orphans_ = false;
};

}  // namespace v0
}  // namespace cleave
