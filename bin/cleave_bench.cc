// SPDX-License-Identifier: MIT
// The load generator: one measurement, and its report.
#include <csignal>
#include <cstdio>
#include <string>

#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/load/options.h"
#include "cleave/bin/load/report.h"
#include "cleave/bin/load/run.h"
#include "cleave/bin/process_setup.h"
#include "cleave/core/watcher.h"

using namespace cleave;
using namespace cleave::load;

namespace {

int give_up(const std::string& sentence, int status) {
  std::fprintf(stderr, "cleave-bench: %s\n", cli::printable(sentence).c_str());
  return status;
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return cli::kOk;
  return give_up("cannot write standard output", cli::kOther);
}

int report(const Settings& settings, const Body& body, const Measured& measured) {
  const int printed = print(settings.json ? json_report(settings, body.size(), measured)
                                          : text_report(settings, body.size(), measured));
  const Verdict found = verdict(measured);
  if (found.status != cli::kOk) return give_up(found.sentence, found.status);
  return printed;
}

int bench(const Settings& settings) {
  Result<Body> body = settings.body_file.empty() ? Body::made_up(settings.body_bytes)
                                                 : Body::from_file(settings.body_file);
  if (!body) return give_up(body.error().message, cli::exit_status(body.error().code));
  const Result<Requests> requests = Requests::make({.cmd = settings.cmd,
                                                    .members = settings.members.text(),
                                                    .depth = settings.depth,
                                                    .ids = settings.ids},
                                                   *body);
  if (!requests) return give_up(requests.error().message, cli::kUsage);
  const Expectation expectation(
      *body, settings.check ? Expectation::rule_for(settings.cmd) : Expectation::Rule::any);

  if (const std::uint64_t room = make_room_for(settings.connections, 0);
      room < settings.connections) {
    return give_up(
        "the system has descriptors for " + std::to_string(room) + " connections only (ulimit -Hn)",
        cli::kUsage);
  }
  const Result<std::unique_ptr<Loop>> loop = Loop::create();
  if (!loop) return give_up(loop.error().message, cli::kOther);
  Run run(**loop, settings, *requests, expectation);
  const auto interrupt = [&run] { run.interrupt(); };
  const Result<SignalWatcher> on_interrupt = SignalWatcher::create(**loop, SIGINT, interrupt);
  if (!on_interrupt) return give_up(on_interrupt.error().message, cli::kOther);
  const Result<SignalWatcher> on_terminate = SignalWatcher::create(**loop, SIGTERM, interrupt);
  if (!on_terminate) return give_up(on_terminate.error().message, cli::kOther);

  const Result<Measured> measured = run.measure();
  if (measured) return report(settings, *body, *measured);
  const bool interrupted = measured.error().code == Errc::cancelled;
  return give_up(measured.error().message,
                 interrupted ? cli::kInterrupted : cli::exit_status(measured.error().code));
}

}  // namespace

int main(int argc, char** argv) {
  prepare_process("cleave-bench");
  const Result<CommandLine> command_line = parse_command_line(argc, argv);
  if (!command_line) {
    return give_up(command_line.error().message + "; see cleave-bench --help", cli::kUsage);
  }
  if (!command_line->print.empty()) return print(command_line->print);
  return bench(command_line->settings);
}
