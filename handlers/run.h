// SPDX-License-Identifier: MIT
#pragma once
// Internal: a program that runs for a request.

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/buffer.h"
#include "cleave/core/loop.h"
#include "cleave/core/pipe.h"
#include "cleave/core/process.h"
#include "cleave/core/reply.h"
#include "cleave/handlers/exec_options.h"

namespace cleave {
inline namespace v0 {

class Run;

// What all runs share. Belongs to the route, and owns every run until its child was reaped: a run
// outlives the request that it was started for.
struct Programs {
  // What one read takes: all that a pipe holds by default.
  static constexpr std::size_t kReadBytes = 64 * 1024;

  Programs(Loop& a_loop, const ExecOptions& some_options) : loop(a_loop), options(some_options) {}

  Loop& loop;
  const ExecOptions options;
  std::set<std::shared_ptr<Run>> running;
  std::array<char, kReadBytes> scratch;
};

// What is run, and for whom.
struct RunOptions {
  ProcessOptions process;
  Peer peer = {};
  bool has_deadline = false;
  // One of the options' commands, and its name, where it is such a one.
  std::string_view name = {};
  const NamedCommand* command = nullptr;
};

// One program, from its start until its child was reaped and its output has ended. It feeds the
// input, gives the output to whoever asks for it, and sees to it that there is an end:
//
//     running --exit--> lingering --both pipes end, or linger_ms and nothing to read--> ended
//        \--stop(): SIGTERM, after the grace SIGKILL, to the group--^
//
// The exit of the child is not the end of its output, nor the other way round: a process in the
// background may hold the pipes for ever, and a child may close them and go on working.
class Run final : public std::enable_shared_from_this<Run> {
 public:
  Run(Programs& programs, RunOptions options)
      : programs_(programs),
        options_(std::move(options)),
        limit_(programs.loop, [this] { on_limit(); }),
        silence_(programs.loop, [this] { on_silence(); }),
        grace_(programs.loop, [this] { process_->kill_group(SIGKILL); }),
        linger_(programs.loop, [this] { on_linger_over(); }) {}
  // A run that was told to end leaves nobody behind.
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

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
    return exit_ && !pipes_[0].reader && !pipes_[1].reader;
  }

  // Makes the program end soon; its output can be read until it has. The first reason counts. One
  // that runs on when its client has gone does so.
  void stop(CancelReason reason);
  // What of its output is gathered at most.
  [[nodiscard]] std::uint64_t output_bytes() const noexcept;
  // Makes the program end now, as its output is more than is wanted, or than there is memory for.
  void truncate(std::optional<Error> error = std::nullopt);
  // Nobody is interested any more: the program ends, and its output goes nowhere.
  void abandon();

  // Of a run that has ended: the members of its reply, and its error if it was stopped.
  [[nodiscard]] Members members() const;
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  // Of one stream, that were read.
  [[nodiscard]] std::uint64_t bytes(std::size_t stream) const noexcept {
    return pipes_[stream].bytes;
  }

 private:
  // What a pipe can hold at most (pipe-max-size of an unprivileged process).
  static constexpr std::size_t kPipeBytes = 1024 * 1024;

  struct Pipe {
    std::optional<PipeReader> reader;   // empty: it has ended
    std::size_t leftover = kPipeBytes;  // bytes that may still be read when the lingering is over
    std::uint64_t bytes = 0;            // that were read
  };

  Result<void> connect();
  void stop(Error error, std::string_view killed_by);
  void terminate();
  void read_to_nobody();
  void feed();
  void drop_input();
  std::size_t read(Pipe& pipe, std::size_t room);
  void changed() {
    if (changed_) changed_();
  }
  void on_exit(ProcessExit exit);
  void on_limit();
  void on_silence();
  void on_linger_over();

  Programs& programs_;
  RunOptions options_;
  std::string mark_;  // in the environment of everybody who descends from it
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

  Time started_;
  Millis duration_{};
  std::optional<ProcessExit> exit_;
  std::optional<Error> error_;
  std::string_view killed_by_;  // why it was stopped; static storage
  std::uint64_t in_bytes_ = 0;
  bool detached_ = false;
  bool input_ended_ = false;
  bool stopped_ = false;
  bool lingered_ = false;
  bool truncated_ = false;
  bool orphans_ = false;
};

}  // namespace v0
}  // namespace cleave
