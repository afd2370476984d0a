// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "cleave/core/loop.h"
#include "cleave/core/pipe.h"
#include "cleave/core/reply.h"
#include "cleave/core/unique_function.h"

namespace cleave::cli {

// Standard input as a request's body: a pipe, a file, a socket or a device, of any length. It is
// read only when the connection has room.
class StandardInput final : public Source {
 public:
  // `io_error` where it is closed, or is a directory.
  [[nodiscard]] static Result<std::shared_ptr<StandardInput>> open(Loop& loop);
  // It was closed before the program began, so that there is nothing to be read.
  [[nodiscard]] static bool closed() noexcept;
  // Called with the number of bytes that have been read so far.
  void on_progress(UniqueFunction<void(std::uint64_t)> callback) {
    on_progress_ = std::move(callback);
  }
  Pulled pull(std::size_t room) override;

 private:
  std::optional<PipeReader> reader_;
  UniqueFunction<void(std::uint64_t)> on_progress_;
  std::uint64_t read_ = 0;
};

}  // namespace cleave::cli
