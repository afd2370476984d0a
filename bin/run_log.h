// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/log.h"
#include "cleave/handlers/exec_options.h"

namespace cleave {
inline namespace v0 {

// A line for a program that was run: who had it run, what it was, how it ended, and how much went
// in and out. Never its output, nor its input or its environment, which may be secrets.
void log_run(Log& log, const RunRecord& run);

}  // namespace v0
}  // namespace cleave
