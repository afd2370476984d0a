// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>

#include "cleave/core/loop.h"
#include "cleave/core/reply.h"
#include "cleave/core/watcher.h"

namespace cleave::cli {

// Standard input as a request's body: a pipe, a file, a socket or a device, of any length. It is
// read only when the connection has room. It is shared with other programs, so it is asked with
// poll(2) whether it has something and is not made non-blocking.
class StandardInput final : public Source {
 public:
  explicit StandardInput(Loop& loop) : loop_(loop) {}
  Pulled pull(std::size_t room) override;

 private:
  Pulled wait();

  Loop& loop_;
  std::optional<Watcher> watcher_;  // made when it is needed: a regular file cannot be watched
};

}  // namespace cleave::cli
