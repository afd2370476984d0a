// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
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
};

// How a process ended: `code` of exit, or `signal` that killed it. Neither when that is not to be
// learned: the program ignores SIGCHLD, or something else in it reaps every child.
struct ProcessExit {
  std::optional<int> code = {};
  int signal = 0;
  bool core = false;  // it left a core dump
};

// A child process in a session and process group of its own, with pipes at its three standard
// descriptors and nothing else open, no signal blocked and none ignored. Spawned by posix_spawn(3):
// libuv 1.44 forks, which costs 24 ms a start in a process of 512 MiB.
//
// Destroyed while the child runs, it kills the group with SIGKILL and reaps the child in the
// background. A child that has ended stays unreaped until its Process is destroyed: that keeps its
// number from being given to a stranger, so that kill_group() cannot hit one.
class CLEAVE_API Process {
 public:
  // The error of a program that cannot be started: `not_found`, `permission_denied`, `too_large`
  // (arguments and environment together), `invalid_argument` (nothing to start, or a zero byte) or
  // `io_error`, with the system's reason. `on_exit` is called once, when the child has ended; its
  // pipes may still hold output, and others may still hold its pipes. It may destroy the process.
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
