// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/bin/client/session.h"

namespace CLI {
class App;
}

namespace cleave::cli {

// What `cleave --help` prints, of the app with the options that stand before a command.
[[nodiscard]] std::string program_help(const CLI::App& app);
// cleave(1): everything that --help tells, of all commands too.
[[nodiscard]] std::string program_man_page(const CLI::App& app, Session& session);

}  // namespace cleave::cli
