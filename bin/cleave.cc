// SPDX-License-Identifier: MIT
// The command-line client: one command, or a prompt.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/console.h"
#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/prompt.h"
#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

constexpr const char* kAfterwards =
    "Without a command: a prompt.\n\n"
    "Exit status: 0 ok, 1 other, 2 usage, 3 not found, 4 already exists, 5 network (try again),\n"
    "6 checksum, 7 no space or quota, 8 denied, 124 deadline, 130 interrupted. exec ends as the\n"
    "program did, with 128+n for signal n, and with 255 where that is not known.\n\n"
    "URL: tcp://HOST:PORT, unix:PATH or udp://HOST:PORT, which carries echo, upper and ping.\n"
    "Behind it ?wire=raw, ready, prefix or header for servers that know no frames: they take the\n"
    "text of echo and upper and the LINE of exec --shell, and do with it what they are there for.";

std::string command_list() {
  std::string text = "Commands:\n";
  for (const Command& command : commands()) {
    std::string line = "  " + std::string(command.name) + " " + std::string(command.usage);
    line.resize(std::max<std::size_t>(line.size() + 2, 42), ' ');
    text += line + std::string(command.summary) + "\n";
  }
  return text;
}

int run(int argc, char** argv) {
  Settings settings;
  CLI::App app("Talks to a cleaved server.", "cleave");
  app.prefix_command();
  app.set_version_flag("--version", "cleave " CLEAVE_VERSION);
  app.add_option("-s,--server", settings.server, "The server's address")
      ->envname("CLEAVE_SERVER")
      ->capture_default_str()
      ->type_name("URL");
  add_common_options(app, settings);
  app.footer(command_list() + "\n" + kAfterwards);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return kOk;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << "\n";
    return kOk;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "cleave: %s; see cleave --help\n", error.what());
    return kUsage;
  }

  Console console;
  console.set_up(settings);
  auto endpoint = Endpoint::parse(settings.server);
  if (endpoint && endpoint->transport == Endpoint::Transport::inherited) {
    endpoint =
        fail(Errc::invalid_argument, "a client connects to tcp://, udp:// or unix: addresses");
  }
  if (!endpoint) {
    console.report(endpoint.error());
    return kUsage;
  }
  auto loop = Loop::create();
  if (!loop) return console.report_status(loop.error());
  Session session(**loop, *std::move(endpoint), console);
  const std::vector<std::string> words = app.remaining();
  const int status =
      words.empty() ? run_prompt(session, settings) : run_command(session, settings, words);
  if (session.given_up()) exit_at_once(kInterrupted);
  return status;
}

// Standard descriptors that came closed would be given to the first files that are opened, and what
// is meant for a person would end up in them. For reading only, so that writing to them is an
// error.
void fill_standard_descriptors() {
  int fd = ::open("/dev/null", O_RDONLY);
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDONLY);
  if (fd >= 0) ::close(fd);
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
