// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/handlers/exec_options.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// `exec`: runs a program (`argv`), a shell line (`shell`) or a named command (`name` and `args`)
// with the body as its standard input. With an `id` the output is sent as it comes, and a reader
// that is slow slows the program down; without one it is gathered, up to `exec_output_bytes`. With
// ExecMode::shell it serves bare messages as well (the wires raw, ready, prefix and header), as
// lines of a shell. Programs that still run when the router is destroyed are killed. `loop` must
// outlive the router.
CLEAVE_API void add_exec(Router& router, Loop& loop, const ExecOptions& options);

}  // namespace v0
}  // namespace cleave
