// SPDX-License-Identifier: MIT
#include "cleave/bin/client/transfer.h"

#include <CLI/CLI.hpp>

#include "cleave/bin/client/text.h"
#include "cleave/bin/client/usage.h"

namespace cleave::cli {

void add_transfer_options(CLI::App& app, TransferOptions& options) {
  app.add_flag("-r,--recursive", options.recursive, "A directory, with all that is below it");
  app.add_flag("-c,--continue", options.resume, "Go on where an earlier command was broken off");
  app.add_flag("--no-clobber", options.no_clobber, "Pass over files that are there already");
  app.add_flag("--dry-run", options.dry_run, "Say what would be done, and do nothing");
  app.add_option("-P,--parallel", options.connections, "How many connections at once, 1 to 64")
      ->type_name("N")
      ->check(whole_number(1, 64))
      ->configurable()
      ->capture_default_str();
}

void say_plan(const Transfer& transfer, const std::string& from, const std::string& to) {
  if (transfer.settings.json) return;
  const bool raw = transfer.settings.raw;
  transfer.session.console().print(shown(from, raw) + " -> " + shown(to, raw));
}

}  // namespace cleave::cli
