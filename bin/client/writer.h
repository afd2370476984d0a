// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cleave/core/buffer.h"
#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/handlers/digest.h"
#include "cleave/protocol/error.h"

namespace cleave::cli {

// Writes Buffers to a descriptor in order, on a worker thread, and holds each until it is written:
// a slow disk or a full pipe slows the server down, and the loop goes on. (Standard output is
// shared with other programs, so it is not made non-blocking for our sake.)
class Writer {
 public:
  // `name` is for error messages. `failed` is called once, in a turn of the loop, if a write fails;
  // whatever is given after that is dropped.
  Writer(Loop& loop, SharedFd fd, std::string name, UniqueFunction<void()> failed);
  // What is being written is written; what waits is dropped.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Goes on behind bytes that are there already, and counts as if it had written them itself.
  // Before anything is written.
  void go_on(Digest hash, std::uint64_t written);

  void write(Buffer bytes);
  // Nothing is left to be written.
  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] const std::optional<Error>& error() const noexcept;
  [[nodiscard]] std::uint64_t written() const noexcept;
  // The XXH3-64 of all that was written; asked once, at the end.
  [[nodiscard]] std::string digest();

 private:
  struct State;
  // Shared with the worker's task, which may outlive us.
  std::shared_ptr<State> state_;
};

// Standard output or standard error, never closed by us.
[[nodiscard]] SharedFd standard_descriptor(int fd);

}  // namespace cleave::cli
