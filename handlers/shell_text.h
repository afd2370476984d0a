// SPDX-License-Identifier: MIT
#pragma once
// Internal: the shell behind the wires that carry bare messages.

#include <memory>

#include "cleave/core/handler.h"
#include "cleave/handlers/run.h"

namespace cleave {
inline namespace v0 {

// `exec` for messages without a header: the message (UTF-8) is a line for /bin/sh, and the reply is
// its standard error if that is not empty, else its standard output. What a member can say is said
// in members: `exit_code` or `signal`, `duration_ms`. An output that is too long is an error, as
// nothing could say that it was cut.
[[nodiscard]] Route shell_text(std::shared_ptr<Programs> programs);

}  // namespace v0
}  // namespace cleave
