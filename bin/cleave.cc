// SPDX-License-Identifier: MIT
// The command-line client: one command, or a prompt.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <csignal>
#include <cstdio>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/complete_words.h"
#include "cleave/bin/client/console.h"
#include "cleave/bin/client/environment.h"
#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/presets.h"
#include "cleave/bin/client/program_page.h"
#include "cleave/bin/client/prompt.h"
#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/bin/client/start_options.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/usage.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

int wrong(const std::string& sentence) {
  std::fprintf(stderr, "cleave: %s\n", printable(sentence).c_str());
  return kUsage;
}

// What the environment and the user's file say.
Result<Presets> read_presets(const StartOptions& options) {
  const PresetFile file =
      options.config ? PresetFile{.name = *options.config, .chosen = true} : preset_file();
  Result<Presets> presets = Presets::load(file);
  const std::string profile = options.profile.empty()
                                  ? environment_variable("CLEAVE_PROFILE").value_or("")
                                  : options.profile;
  if (!presets || profile.empty()) return presets;
  if (Result<void> chosen = presets->choose(profile); !chosen) return fail(chosen.error());
  return presets;
}

// The user's file is right as a whole, whatever of it is used now.
Result<void> check_presets(Presets& presets, Session& session) {
  if (presets.empty()) return {};
  Settings settings;
  StartOptions options;
  CLI::App app;
  add_start_options(app, options, settings);
  Result<void> done = presets.check(app);
  for (const Command& command : commands()) {
    describe_command(command, session, [&](CLI::App& described) {
      if (done) done = presets.check(described);
    });
  }
  return done ? presets.check_keys() : done;
}

int run(int argc, char** argv) {
  Console console;
  StartOptions options;
  Settings settings;
  CLI::App app("", "cleave");
  app.prefix_command();
  add_start_options(app, options, settings);
  if (argc > 1 && std::string_view(argv[1]) == "--complete") {
    print_candidates(app, settings, {argv + 2, argv + argc}, [&]() -> std::vector<std::string> {
      const Result<Presets> presets = read_presets(options);
      if (!presets) return {};
      (void)presets->apply(app);
      return presets->profiles();
    });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    console.put(program_help(app));
    return console.finish_results();
  } catch (const CLI::CallForVersion& version) {
    console.print(version.what());
    return console.finish_results();
  } catch (const CLI::ParseError& error) {
    return wrong(usage_sentence(app, error) + "; see cleave --help");
  }

  auto loop = Loop::create();
  if (!loop) return console.report_status(loop.error());
  if (options.man) {
    // It tells of the defaults, and not of what somebody has typed with it.
    Session session(**loop, {}, console);
    console.put(program_man_page(app, session));
    return console.finish_results();
  }
  Result<Presets> presets = read_presets(options);
  if (!presets) return wrong(presets.error().message);
  const std::vector<std::string> words = app.remaining();
  if (!words.empty() && needs_no_server(words.front())) {
    app.get_option("--server")->configurable(false);  // whatever the environment says of it
  }
  if (Result<void> done = presets->apply(app); !done) return wrong(done.error().message);
  console.set_up(settings);
  auto endpoint = Endpoint::parse(settings.server);
  if (!endpoint) return wrong(endpoint.error().message);
  Session session(**loop, *std::move(endpoint), console);
  if (Result<void> done = check_presets(*presets, session); !done) {
    return wrong(done.error().message);
  }
  settings.presets = std::make_shared<const Presets>(*std::move(presets));
  const int status =
      words.empty() ? run_prompt(session, settings) : run_command(session, settings, words);
  if (session.may_hang()) exit_at_once(status);
  return status;
}

// Standard descriptors that came closed would be given to the first files that are opened, and what
// is meant for a person would end up in them. The wrong way round, so that to use them is an error.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= STDERR_FILENO;) {
    if (::fcntl(fd, F_GETFD) >= 0) {
      ++fd;
    } else if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
      return;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_descriptors();
  // For editing at the prompt.
  std::setlocale(LC_ALL, "");  // NOLINT(concurrency-mt-unsafe): there is no other thread yet
  // A reader that has gone is an error of write(2) here, with a sentence and a status.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cleave: internal: %s\n", error.what());
    return kOther;
  }
}
