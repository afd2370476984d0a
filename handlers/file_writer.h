// SPDX-License-Identifier: MIT
#pragma once
// Internal: what has come, on its way to a file.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cleave/core/buffer.h"
#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/handlers/file_digests.h"
#include "cleave/protocol/error.h"

namespace cleave {
inline namespace v0 {

// Writes Buffers to a descriptor in order, on a worker thread, and holds each until it is written:
// a slow disk or a full pipe slows the server down, and the loop goes on. (Standard output is
// shared with other programs, so it is not made non-blocking for our sake.)
class FileWriter {
 public:
  // `name` is for error messages. `failed` is called once, in a turn of the loop, if a write fails;
  // whatever is given after that is dropped.
  FileWriter(Loop& loop, SharedFd fd, std::string name, UniqueFunction<void()> failed);
  // What is being written is written; what waits is dropped.
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  // Goes on behind bytes that are there already, and counts as if it had written them itself.
  // Before anything is written.
  void go_on(FileDigests digests, std::uint64_t written);

  void write(Buffer bytes);
  // Nothing is left to be written.
  [[nodiscard]] bool idle() const noexcept;
  // Called once: now if that is so, or else when it is.
  void when_idle(UniqueFunction<void()> callback);
  [[nodiscard]] const std::optional<Error>& error() const noexcept;
  [[nodiscard]] std::uint64_t written() const noexcept;
  // Of all that was written; asked once, at the end.
  [[nodiscard]] FileDigests& digests() noexcept;

 private:
  struct State;
  // Shared with the worker's task, which may outlive us.
  std::shared_ptr<State> state_;
};

}  // namespace v0
}  // namespace cleave
