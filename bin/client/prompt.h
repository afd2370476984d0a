// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"

namespace cleave::cli {

// Reads commands line by line from standard input and runs them, until `quit`, `exit` or the end of
// it. On a terminal with the prompt `>>: `, editing, completion, and the history of this and
// earlier prompts. Ctrl-C ends a command; where one had to be given up, a terminal gets another
// prompt, and other input is left. Returns the exit status of the last command.
[[nodiscard]] int run_prompt(Session& session, Settings settings);

}  // namespace cleave::cli
