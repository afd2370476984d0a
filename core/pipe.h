// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

class PipeEnd;  // core/pipe.cc: a descriptor and what watches it

// Reads a pipe, a socket or a terminal when asked to, and never waits for it. Owns the descriptor,
// whose flags it leaves alone: a program's standard input may be shared with the shell, which does
// not expect to find it non-blocking. What epoll does not know, a regular file or /dev/null, is
// always ready: it is read plainly, and `readable` is never called. May be destroyed from inside
// `readable`.
class CLEAVE_API PipeReader {
 public:
  // `readable` is called when reading makes sense again after a would-block.
  [[nodiscard]] static Result<PipeReader> create(Loop& loop, Fd fd,
                                                 UniqueFunction<void()> readable);
  // Bytes read; 0 for the end, be it by an error; empty: nothing now, and `readable` will be
  // called.
  [[nodiscard]] std::optional<std::size_t> read(std::span<char> into);
  // Whether a read would give something now.
  [[nodiscard]] bool readable() const noexcept;
  // Of a pipe: whether somebody has its other end open and could still write to it.
  [[nodiscard]] bool has_writer() const noexcept;
  // How many bytes are in it now.
  [[nodiscard]] std::size_t waiting() const noexcept;
  // The errno of the read that failed, or 0: what came before it is not all there is.
  [[nodiscard]] int error() const noexcept { return error_; }

  PipeReader(PipeReader&&) noexcept;
  PipeReader& operator=(PipeReader&&) noexcept;
  ~PipeReader();

 private:
  explicit PipeReader(std::unique_ptr<PipeEnd> end) noexcept;
  std::unique_ptr<PipeEnd> end_;
  int error_ = 0;
};

// Writes a pipe as far as it takes, with the manners of PipeReader. A reader that has gone is an
// outcome, and no SIGPIPE.
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
  // `bytes` says how many were taken, whatever the outcome. `gone` is for good, and is also the
  // outcome of a full disk where the descriptor is a file.
  [[nodiscard]] Written write(std::string_view bytes);

  PipeWriter(PipeWriter&&) noexcept;
  PipeWriter& operator=(PipeWriter&&) noexcept;
  ~PipeWriter();

 private:
  explicit PipeWriter(std::unique_ptr<PipeEnd> end) noexcept;
  std::unique_ptr<PipeEnd> end_;
};

}  // namespace v0
}  // namespace cleave
