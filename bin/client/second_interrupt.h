// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/loop.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// As long as it exists, a second Ctrl-C ends the process where `loop` has not heard the first: it
// is in a call that does not return, as of a write to a full pipe, or on a disk that hangs. One at
// a time, and only within the life of another watcher of SIGINT.
class SecondInterrupt {
 public:
  explicit SecondInterrupt(Loop& loop);
  SecondInterrupt(const SecondInterrupt&) = delete;
  SecondInterrupt& operator=(const SecondInterrupt&) = delete;
  ~SecondInterrupt();

 private:
  Result<SignalWatcher> heard_;
};

}  // namespace cleave::cli
