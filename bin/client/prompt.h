// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"

namespace cleave::cli {

// Reads commands line by line from standard input and runs them, until `quit` or the end of it. On
// a terminal with the prompt `>>: `, editing, and a history as long as the program runs. Returns
// the exit status of the last command.
[[nodiscard]] int run_prompt(Session& session, Settings settings);

}  // namespace cleave::cli
