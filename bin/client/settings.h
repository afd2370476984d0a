// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cleave/bin/client/terminal.h"
#include "cleave/core/time.h"

namespace cleave::cli {

// How standard error tells of progress: `automatic` by lines that are drawn anew where it is a
// terminal, and not at all elsewhere.
enum class ProgressAs : std::uint8_t { automatic, none, plain, json };

class Presets;

// What the user has asked for beside the command itself.
struct Settings {
  std::string server = "tcp://127.0.0.1:8080";
  std::optional<Millis> timeout = {};
  bool quiet = false;
  bool verbose = false;
  bool json = false;
  ColorWhen color = ColorWhen::automatic;
  ProgressAs progress = ProgressAs::automatic;
  Millis connect_timeout{10'000};
  std::optional<Millis> silence_timeout = Millis(60'000);  // none: any silence
  std::optional<unsigned> retries = {};                    // none: as suits the command
  std::string encoding = {};  // of what servers write, where it is not the terminal's
  bool raw = false;           // as it comes: neither converted nor escaped
  // For the options of single commands.
  std::shared_ptr<const Presets> presets = {};
  // Commands are typed at the prompt, so standard input is theirs and no request's body.
  bool interactive = false;
};

}  // namespace cleave::cli
