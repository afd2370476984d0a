// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "cleave/bin/client/progress.h"
#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/handlers/local_file.h"

namespace CLI {
class App;
}

namespace cleave::cli {

// What the user has asked for of all transfers of a command.
struct TransferOptions {
  bool resume = false;      // go on with what an earlier command has left, and leave it if need be
  bool no_clobber = false;  // pass over what is there
  bool no_overwrite = false;  // fail if there is one
  bool dry_run = false;
  bool recursive = false;
  unsigned connections = 1;
};

// The options on the command line.
void add_transfer_options(CLI::App& app, TransferOptions& options);

// One file that is to go from one side to the other, and what is at hand for that.
struct Transfer {
  Session& session;
  const Settings& settings;
  const TransferOptions& options;
  ProgressShare& share;
  LocalFile local;
  std::string remote;
};

// Says that a file would be transferred: "FROM -> TO", on standard output.
void say_plan(const Transfer& transfer, const std::string& from, const std::string& to);

// How it ended, if not with an error.
struct Transferred {
  Ref<const Header> header = {};  // the results
  bool skipped = false;           // it was there already, and has stayed as it is
};

}  // namespace cleave::cli
