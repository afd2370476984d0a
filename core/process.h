// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/pipe.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct ProcessOptions {
  std::vector<std::string> argv = {};  // at least one; argv[0] is looked up in PATH of `env`
  std::vector<std::string> env = {};   // "NAME=value", the whole environment
  std::string cwd = {};                // empty: the parent's
  // A cgroup (version 2, the path of its directory) that the child is in before its program begins,
  // and so is all that comes of it. Empty: the parent's. /bin/sh sees to that, which costs its
  // start; where it cannot, the child is killed by SIGKILL.
  std::string cgroup = {};
};

// How a process ended: `code` of exit, or `signal` that killed it. Neither when that is not to be
// learned: the program ignores SIGCHLD, or something else in it reaps every child.
struct ProcessExit {
  std::optional<int> code = {};
  int signal = 0;
  bool core = false;  // it left a core dump
};

// A child process that no loop looks after yet. It is in a session and process group of its own,
// with pipes at its three standard descriptors and nothing else open, no signal blocked and none
// ignored. Started by posix_spawn(3): libuv 1.44 forks, which costs 24 ms a start in a process of
// 512 MiB.
//
// Destroyed as it is, it kills the group with SIGKILL and waits for the child.
class CLEAVE_API StartedProcess {
 public:
  // From any thread, which it holds up until the program is loaded: for 0.1 ms, but also for as
  // long as a disk hangs that the program or `cwd` is on.
  //
  // The error of a program that cannot be started: `not_found`, `permission_denied`, `too_large`
  // (arguments and environment together), `invalid_argument` (nothing to start, or a zero byte) or
  // `io_error`, with the system's reason.
  [[nodiscard]] static Result<StartedProcess> start(const ProcessOptions& options);

  StartedProcess(StartedProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)),
        in_(std::move(other.in_)),
        out_(std::move(other.out_)),
        err_(std::move(other.err_)) {}
  StartedProcess& operator=(StartedProcess&&) = delete;
  ~StartedProcess();

 private:
  friend class Process;
  StartedProcess(int pid, Fd in, Fd out, Fd err) noexcept
      : pid_(pid), in_(std::move(in)), out_(std::move(out)), err_(std::move(err)) {}

  int pid_;  // 0: somebody else's now
  Fd in_;
  Fd out_;
  Fd err_;
};

// A child process of a loop.
//
// Destroyed while the child runs, it kills the group with SIGKILL and reaps the child in the
// background. A child that has ended stays unreaped until its Process is destroyed: that keeps its
// number from being given to a stranger, so that kill_group() cannot hit one.
class CLEAVE_API Process {
 public:
  // `on_exit` is called once, in a later turn, when the child has ended; its pipes may still hold
  // output, and others may still hold its pipes. It may destroy the process. An error where no
  // descriptor is left to look after the child, which is killed then.
  [[nodiscard]] static Result<std::unique_ptr<Process>> adopt(
      Loop& loop, StartedProcess started, UniqueFunction<void(ProcessExit)> on_exit);
  // Starts one and adopts it, which holds up the loop.
  [[nodiscard]] static Result<std::unique_ptr<Process>> spawn(
      Loop& loop, const ProcessOptions& options, UniqueFunction<void(ProcessExit)> on_exit);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] int pid() const noexcept;
  // Our ends of the pipes, non-blocking; taken once each.
  [[nodiscard]] Fd take_stdin() noexcept;
  [[nodiscard]] Fd take_stdout() noexcept;
  [[nodiscard]] Fd take_stderr() noexcept;
  // Sends a signal to the child's whole process group, also to those who are left in it after the
  // child has ended. Harmless when nobody is.
  void kill_group(int signal) noexcept;

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace v0
}  // namespace cleave
