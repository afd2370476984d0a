// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"

namespace cleave::cli {

// One command being run: the words behind its name, and where it runs. A command declares its
// options on app(), parses, and goes on if parse() has nothing to return; before that it does
// nothing, as it may only be asked what its options are.
class Invocation {
 public:
  Invocation(const Command& command, Session& in, const Settings& with,
             std::vector<std::string> words);

  // Has parse() show what is declared, and end the command.
  void describe_to(std::function<void(CLI::App&)> visitor) { visitor_ = std::move(visitor); }

  CLI::App& app() noexcept { return app_; }
  // An exit status where there is nothing left to do: after --help, or a wrong usage that has been
  // explained.
  [[nodiscard]] std::optional<int> parse();
  // For commands that pass words on: options are read up to the first word that is none, or up to
  // `--`; what follows stands untouched in `rest`.
  [[nodiscard]] std::optional<int> parse_leading(std::vector<std::string>& rest);
  // Refuses what no header can carry: JSON is UTF-8, and anything else would arrive as another
  // name.
  [[nodiscard]] std::optional<int> refuse_unless_utf8(const std::string& word);
  // Explains a wrong usage.
  [[nodiscard]] int usage_error(const std::string& sentence);

  // Where to say something.
  [[nodiscard]] Console& console() noexcept { return session.console(); }

  // Where its requests go.
  Session& session;
  // What the user wants of this command: at first what stood before it, and, once parse() has
  // returned, also what its own options say. A command may go on to change them.
  Settings settings;

 private:
  // Of the words that nobody wanted.
  [[nodiscard]] std::string first_extra() const;
  // Explains what the server's address cannot carry.
  [[nodiscard]] std::optional<int> carried();

  const Command& command_;
  CLI::App app_;
  std::vector<std::string> words_;
  std::function<void(CLI::App&)> visitor_;
};

// The commands, by what they deal with.
int run_echo(Invocation& invocation);
int run_upper(Invocation& invocation);
int run_exec(Invocation& invocation);
int run_put(Invocation& invocation);
int run_get(Invocation& invocation);
int run_ls(Invocation& invocation);
int run_stat(Invocation& invocation);
int run_rm(Invocation& invocation);
int run_mv(Invocation& invocation);
int run_verify(Invocation& invocation);
int run_ping(Invocation& invocation);
int run_stats(Invocation& invocation);
int run_limits(Invocation& invocation);
int run_help(Invocation& invocation);
int run_call(Invocation& invocation);
int run_sticky(Invocation& invocation);
int run_decode(Invocation& invocation);

}  // namespace cleave::cli
