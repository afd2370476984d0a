// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/protocol/error.h"

namespace cleave::cli {

// The exit statuses of `cleave`, a promise to scripts. (`exec` passes on the child's own.)
enum ExitStatus : int {
  kOk = 0,
  kOther = 1,
  kUsage = 2,
  kNotFound = 3,
  kAlreadyExists = 4,
  kNetwork = 5,  // trying again may help
  kChecksum = 6,
  kNoSpace = 7,
  kDenied = 8,
  kDeadline = 124,     // as timeout(1)
  kInterrupted = 130,  // as a shell says of SIGINT
  kFateUnknown = 255,  // exec: the child did not start, or nobody knows how it ended; as ssh(1)
};

[[nodiscard]] int exit_status(Errc code) noexcept;

// Ends the process without waiting for anything: a worker may be stuck, in a write to a full pipe
// or on a disk that hangs. Signal handlers may call it.
[[noreturn]] void exit_at_once(int status);

}  // namespace cleave::cli
