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

// Says an error in one line on standard error: `cleave: not_found: there is no file 'a'`.
void report(const Error& error);
// Says it, and gives its exit status.
[[nodiscard]] int report_status(const Error& error);
// Ends the results on standard output: kOk, or what kept them from being written.
[[nodiscard]] int finish_results();

}  // namespace cleave::cli
