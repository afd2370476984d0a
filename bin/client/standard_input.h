// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>

#include "cleave/core/loop.h"
#include "cleave/core/pipe.h"
#include "cleave/core/reply.h"

namespace cleave::cli {

// Standard input as a request's body: a pipe, a file, a socket or a device, of any length. It is
// read only when the connection has room.
class StandardInput final : public Source {
 public:
  // A standard input that was closed before the program began is an empty one.
  [[nodiscard]] static Result<std::shared_ptr<StandardInput>> open(Loop& loop);
  Pulled pull(std::size_t room) override;

 private:
  std::optional<PipeReader> reader_;
};

}  // namespace cleave::cli
