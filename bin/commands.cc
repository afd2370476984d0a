// SPDX-License-Identifier: MIT
#include "cleave/bin/commands.h"

#include "cleave/handlers/echo.h"

namespace cleave {
inline namespace v0 {

Result<void> add_commands(Router& router, Loop& /*loop*/, const Config& /*config*/) {
  add_echo(router);
  return {};
}

}  // namespace v0
}  // namespace cleave
