// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct ProcessOptions {
  std::vector<std::string> argv = {};  // at least one; argv[0] is looked up in PATH of `env`
  std::vector<std::string> env = {};   // "NAME=value", the whole environment
  std::string cwd = {};                // empty: the parent's
};

// How a process ended: `code` of exit, or `signal` that killed it.
struct ProcessExit {
  std::optional<int> code;
  int signal = 0;
};

// A child process in a session and process group of its own, with pipes at its three standard
// descriptors and nothing else open. Spawned by posix_spawn(3): libuv 1.44 forks, which costs 24 ms
// a start in a process of 512 MiB. Destroyed while it runs, it kills the group with SIGKILL and
// reaps the child in the background.
class CLEAVE_API Process {
 public:
  // The error of a program that cannot be started: `not_found`, `permission_denied`, `io_error`,
  // with the system's reason. `on_exit` is called once, when the child was reaped; its pipes may
  // still hold output.
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
  // Sends a signal to the child's whole process group, also after the child was reaped as long as
  // anybody is left in it.
  void kill_group(int signal) noexcept;

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

// Reads a pipe, a socket or a terminal when asked to.
class CLEAVE_API PipeReader {
 public:
  // `readable` is called when reading makes sense again after a would-block.
  [[nodiscard]] static Result<PipeReader> create(Loop& loop, Fd fd,
                                                 UniqueFunction<void()> readable);
  // Bytes read; 0 for the end (or an error: a broken pipe ends too); empty: nothing now, and
  // `readable` will be called.
  [[nodiscard]] std::optional<std::size_t> read(std::span<char> into);

 private:
  PipeReader(Fd fd, Watcher watcher) noexcept : fd_(std::move(fd)), watcher_(std::move(watcher)) {}
  Fd fd_;  // declared first: the watcher must go before it
  Watcher watcher_;
};

// Writes a pipe as far as it takes.
class CLEAVE_API PipeWriter {
 public:
  // `writable` is called when writing makes sense again after a would-block, and with it a reader
  // that has gone is noticed.
  [[nodiscard]] static Result<PipeWriter> create(Loop& loop, Fd fd,
                                                 UniqueFunction<void()> writable);
  enum class Outcome : std::uint8_t { done, would_block, gone };
  struct Written {
    Outcome outcome;
    std::size_t bytes;
  };
  [[nodiscard]] Written write(std::string_view bytes);

 private:
  PipeWriter(Fd fd, Watcher watcher) noexcept : fd_(std::move(fd)), watcher_(std::move(watcher)) {}
  Fd fd_;
  Watcher watcher_;
};

}  // namespace v0
}  // namespace cleave
