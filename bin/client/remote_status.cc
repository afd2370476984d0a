// SPDX-License-Identifier: MIT
#include "cleave/bin/client/remote_status.h"

#include "cleave/bin/client/retries.h"

namespace cleave::cli {

Outcome status_of(Session& session, const Settings& settings, const std::string& name) {
  std::string ignored;
  return run_repeatable(session, settings,
                        {.cmd = "stat", .members = Members().set("filename", name)}, ignored);
}

}  // namespace cleave::cli
