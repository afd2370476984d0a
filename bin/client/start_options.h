// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "cleave/bin/client/settings.h"

namespace CLI {
class App;
}

namespace cleave::cli {

// What is decided before there is a command.
struct StartOptions {
  std::optional<std::string> config = {};  // a name for the user's file; empty: none
  std::string profile = {};                // empty: none
  bool man = false;
};

// The options that stand before a command alone, and then those that stand behind it as well.
void add_start_options(CLI::App& app, StartOptions& options, Settings& settings);

}  // namespace cleave::cli
