// SPDX-License-Identifier: MIT
#include "cleave/bin/client/program_page.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/presets.h"
#include "cleave/bin/man_page.h"
#include "cleave/bin/manual.h"

namespace cleave::cli {
namespace {

constexpr std::string_view kAbout =
    "Without a command there is a prompt, >>: , where commands are typed as they are behind "
    "cleave. "
    "Standard output carries results alone, and standard error everything else.\n\n"
    "Behind a URL ?wire=raw, ready, prefix or header is for servers that know no frames: they take "
    "the text of echo and upper and the LINE of exec --shell, and do with it what they are there "
    "for. udp:// carries echo, upper and ping.";

const TermList& exit_statuses() {
  static const TermList list = {"Exit status",
                                {{"0", "ok"},
                                 {"1", "any other error"},
                                 {"2", "wrong usage, or a mistake in the user's file"},
                                 {"3", "there is no such file"},
                                 {"4", "there is such a file already"},
                                 {"5",
                                  "the network, or a server that cannot just now: trying "
                                  "again may help"},
                                 {"6", "a digest that differs"},
                                 {"7", "no space, or no quota"},
                                 {"8", "not allowed"},
                                 {"124", "a deadline"},
                                 {"130", "Ctrl-C"}}};
  return list;
}

constexpr std::string_view kAboutExec =
    "exec ends as the program did, with 128+n for signal n, with 124 where its time ran out, and "
    "with 255 where it did not start or nobody knows how it ended.";

constexpr std::string_view kAboutEnvironment =
    "Each of these sets an option where the command line does not. One that is set and empty "
    "counts as not set.";

constexpr std::string_view kAboutFile =
    "What neither the command line nor the environment says is taken from the profile that -p or "
    "CLEAVE_PROFILE names, and what that does not say from [defaults]. Keys are the long names of "
    "options, with _ for -; an option without a value is true or false. A key that does not exist "
    "and a value that its option does not take are mistakes, in any profile, and so is a file that "
    "others than you and root can write.\n\n"
    "  [defaults]\n"
    "  timeout = 30\n"
    "\n"
    "  [profiles.build]\n"
    "  server = \"tcp://127.0.0.1:9000\"\n"
    "  parallel = 4";

Manual program_manual() {
  return {.name = "cleave",
          .usage = "[-s URL] [-p PROFILE] [OPTIONS] [COMMAND [ARG...]]",
          .summary = "talks to a cleaved server: files, programs, text",
          .about = kAbout,
          .examples = {}};
}

// The variables and keys of what an app declares.
void add_variables(const CLI::App& app, std::string_view command, TermList& list) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string variable = preset_variable(*option);
    if (variable.empty()) continue;
    const auto known =
        std::ranges::find(list.terms, variable, [](const auto& term) { return term.first; });
    if (known != list.terms.end()) {
      known->second.append(", ").append(command);
    } else {
      list.terms.emplace_back(variable, option->get_name());
      if (!command.empty()) list.terms.back().second.append(" of ").append(command);
    }
  }
}

}  // namespace

std::string program_help(const CLI::App& app) {
  Manual manual = program_manual();
  manual.about = "Without a command there is a prompt.";
  std::vector<TermList> lists = command_lists();
  for (TermList& list : terms_of(app)) lists.push_back(std::move(list));
  const std::size_t width = page_width();
  return help_page(manual, lists, width) + "\n" +
         filled(
             "cleave COMMAND --help tells of a command, with examples; cleave(1) of everything, "
             "also of profiles, of the environment and of what an exit status means.",
             width) +
         "\n";
}

std::string program_man_page(const CLI::App& app, Session& session) {
  ManPage page(program_manual());
  page.section("Options");
  for (const TermList& list : terms_of(app)) {
    page.subsection(list.title);
    page.terms(list);
  }
  TermList variables;
  add_variables(app, "", variables);
  page.section("Commands");
  for (const Command& command : commands()) {
    describe_command(command, session, [&](const CLI::App& described) {
      std::vector<TermList> own = terms_of(described);
      // What holds for every command has been told.
      const std::vector<TermList> told = terms_of(app);
      std::erase_if(own, [&told](const TermList& list) {
        return std::ranges::any_of(told, [&list](const TermList& one) {
          return one.title == list.title && list.title != "Options";
        });
      });
      page.command(manual_of(command), own);
      add_variables(described, command.name, variables);
    });
  }
  page.section("Exit status");
  page.terms(exit_statuses());
  page.text(kAboutExec);
  page.section("Environment");
  page.text(kAboutEnvironment);
  page.terms(variables);
  page.terms({"",
              {{"CLEAVE_PROFILE", "--profile"},
               {"CLEAVE_CONFIG", "--config; empty: no file is read"},
               {"CLEAVE_HISTORY", "the prompt's history; empty: none is kept"},
               {"HOME, XDG_CONFIG_HOME, XDG_STATE_HOME", "where these files are otherwise"},
               {"NO_COLOR, TERM", "whether there are colours, and lines that are drawn anew"}}});
  page.section("Files");
  page.terms(
      {"",
       {{"~/.config/cleave/config.toml",
         "profiles, or where XDG_CONFIG_HOME is set, cleave/config.toml in there"},
        {"~/.local/state/cleave/history",
         "lines of the prompt, but for those that look like secrets, or where XDG_STATE_HOME "
         "is set, cleave/history in there"}}});
  page.text(kAboutFile);
  page.section("See also");
  page.text("cleaved(1), cleave-bench(1)");
  return page.str();
}

}  // namespace cleave::cli
