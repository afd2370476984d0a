// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cleave/core/time.h"

namespace cleave::cli {

class Presets;

// What the user has asked for beside the command itself.
struct Settings {
  std::string server = "tcp://127.0.0.1:8080";
  std::optional<Millis> timeout = {};
  bool quiet = false;
  bool verbose = false;
  bool json = false;
  std::string encoding = {};  // of what servers write, where it is not the terminal's
  bool raw = false;           // as it comes: neither converted nor escaped
  // For the options of single commands.
  std::shared_ptr<const Presets> presets = {};
  // Commands are typed at the prompt, so standard input is theirs and no request's body.
  bool interactive = false;
};

}  // namespace cleave::cli
