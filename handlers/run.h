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
#include "cleave/handlers/exec.h"

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

// What every program finds in its environment: the server's own may hold secrets, and depends on
// how it was started.
using Environment = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] Environment clean_environment();
// `NAME=value` for each, as ProcessOptions takes them.
[[nodiscard]] std::vector<std::string> environment_lines(const Environment& environment);

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
  explicit Run(Programs& programs)
      : programs_(programs),
        limit_(programs.loop, [this] { on_limit(); }),
        grace_(programs.loop, [this] { process_->kill_group(SIGKILL); }),
        linger_(programs.loop, [this] { on_linger_over(); }) {}
  // A run that was told to end leaves nobody of its group behind.
  ~Run() {
    if (stopped_) process_->kill_group(SIGKILL);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  static Result<std::shared_ptr<Run>> start(Programs& programs, const ProcessOptions& options,
                                            bool has_deadline);

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

  // Makes the program end soon; its output can be read until it has. The first reason counts.
  void stop(CancelReason reason) { stop(to_error(reason), reason == CancelReason::deadline); }
  // Makes the program end now, as its output is more than is wanted, or than there is memory for.
  void truncate(std::optional<Error> error = std::nullopt);
  // Nobody is interested any more: the program ends, and its output goes nowhere.
  void abandon();

  // Of a run that has ended: the members of its reply, and its error if it was stopped.
  [[nodiscard]] Members members() const;
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }

 private:
  // What a pipe can hold at most (pipe-max-size of an unprivileged process).
  static constexpr std::size_t kPipeBytes = 1024 * 1024;

  struct Pipe {
    std::optional<PipeReader> reader;   // empty: it has ended
    std::size_t leftover = kPipeBytes;  // bytes that may still be read when the lingering is over
  };

  Result<void> connect();
  void stop(Error error, bool timed_out);
  void terminate();
  void feed();
  void drop_input();
  std::size_t read(Pipe& pipe, std::size_t room);
  void changed() {
    if (changed_) changed_();
  }
  void on_exit(ProcessExit exit);
  void on_limit();
  void on_linger_over();

  Programs& programs_;
  std::unique_ptr<Process> process_;
  std::array<Pipe, 2> pipes_;
  std::size_t turn_ = 0;  // the stream that was read last
  std::optional<PipeWriter> writer_;
  std::deque<Buffer> input_;
  UniqueFunction<void()> changed_;
  Timer limit_;
  Timer grace_;
  Timer linger_;

  Time started_;
  Millis duration_{};
  std::optional<ProcessExit> exit_;
  std::optional<Error> error_;
  bool input_ended_ = false;
  bool stopped_ = false;
  bool lingered_ = false;
  bool timed_out_ = false;
  bool truncated_ = false;
  bool orphans_ = false;
};

}  // namespace v0
}  // namespace cleave
