// SPDX-License-Identifier: MIT
#include "cleave/bin/client/command.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "cleave/bin/client/invocation.h"

namespace cleave::cli {
namespace {

constexpr unsigned kAny = kFrames | kFrameDatagrams | kBareStream | kBareDatagrams;

constexpr std::array kCommands = {
    Command{"echo", "TEXT...", "sends text there and back", kAny, run_echo},
    Command{"upper", "TEXT...", "has ASCII letters made upper case", kAny, run_upper},
    Command{"exec", "[--] ARGV... | --shell LINE | --name NAME [KEY=VALUE]...",
            "runs a program on the server", kFrames | kBareStream, run_exec},
    Command{"put", "FILE [NAME]", "stores a file", kFrames, run_put},
    Command{"get", "NAME [FILE]", "fetches a file", kFrames, run_get},
    Command{"ls", "[DIR]", "lists a directory", kFrames, run_ls},
    Command{"stat", "NAME", "tells what is known of a file", kFrames, run_stat},
    Command{"rm", "NAME", "deletes a file", kFrames, run_rm},
    Command{"mv", "FROM TO", "renames a file", kFrames, run_mv},
    Command{"verify", "NAME", "has a file read again and compared with its digest", kFrames,
            run_verify},
    Command{"ping", "", "asks whether the server is there", kFrames | kFrameDatagrams, run_ping},
    Command{"stats", "", "shows the server's counters", kFrames, run_stats},
    Command{"limits", "", "shows the server's limits", kFrames, run_limits},
    Command{"help", "[CMD]", "shows the commands that the server has, or one of them", kFrames,
            run_help},
    Command{"call", "CMD [--header K=V]... [--body FILE|-]", "sends any request", kFrames,
            run_call},
};

Carrier carrier_of(const Endpoint& server) {
  const bool frames = server.wire == Wire::frame;
  if (server.is_datagram()) return frames ? kFrameDatagrams : kBareDatagrams;
  return frames ? kFrames : kBareStream;
}

constexpr double kLongestTimeout = 1e9;  // seconds; three decades

// CLI11 knows only of the arguments that it parses itself; ours are partly passed on.
class Usage final : public CLI::Formatter {
 public:
  explicit Usage(std::string line) : line_(std::move(line)) {}
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: " + line_ + "\n";
  }

 private:
  std::string line_;
};

void add_seconds(CLI::App& app, const char* name, double least, std::function<void(Millis)> set,
                 const char* what) {
  app.add_option_function<double>(
         name,
         [set = std::move(set)](double seconds) {
           set(Millis(static_cast<std::int64_t>(std::ceil(seconds * 1000))));
         },
         what)
      ->type_name("SECONDS")
      ->check(CLI::Range(least, kLongestTimeout));
}

template <typename Choice>
void add_choice(CLI::App& app, const char* name, Choice& choice,
                const std::vector<std::pair<std::string, Choice>>& choices, const char* what) {
  std::string names;
  for (const auto& [text, value] : choices) names += (names.empty() ? "" : "|") + text;
  app.add_option(name, choice, what)
      ->type_name(names)
      ->transform(CLI::Transformer(choices).description(""));
}

}  // namespace

std::span<const Command> commands() noexcept {
  return kCommands;
}

void add_common_options(CLI::App& app, Settings& settings) {
  add_seconds(
      app, "--timeout", 0.001, [&settings](Millis time) { settings.timeout = time; },
      "End a request that takes longer");
  app.add_flag("-q,--quiet", settings.quiet, "Say nothing but results and errors");
  app.add_flag("-v,--verbose", settings.verbose, "Say what goes on");
  app.add_flag("--json", settings.json, "Print results as JSON");
  add_choice(app, "--progress", settings.progress,
             {{"auto", ProgressAs::automatic},
              {"none", ProgressAs::none},
              {"plain", ProgressAs::plain},
              {"json", ProgressAs::json}},
             "How standard error tells of progress; json: all of it is JSON");
  add_choice(
      app, "--color", settings.color,
      {{"auto", ColorWhen::automatic}, {"always", ColorWhen::always}, {"never", ColorWhen::never}},
      "Colours; auto: on a terminal, unless NO_COLOR says otherwise");
  add_seconds(
      app, "--connect-timeout", 0.001,
      [&settings](Millis time) { settings.connect_timeout = time; },
      "Give up connecting after so long; default 10");
  add_seconds(
      app, "--silence-timeout", 0,
      [&settings](Millis time) {
        settings.silence_timeout = time > Millis(0) ? std::optional(time) : std::nullopt;
      },
      "Give up a server that is silent for so long; default 60, 0: never");
  app.add_option("--retries", settings.retries,
                 "How often to try again when the network or the server fails; default 3")
      ->type_name("N")
      ->check(CLI::Range(0U, 1'000U));
}

int run_command(Session& session, const Settings& settings, std::vector<std::string> words) {
  const std::string name = words.front();
  const auto* command = std::ranges::find(kCommands, name, &Command::name);
  if (command == kCommands.end()) {
    std::fprintf(stderr, "cleave: there is no command '%s'; see cleave --help\n", name.c_str());
    return kUsage;
  }
  auto interrupts = session.watch_interrupts();
  if (!interrupts) return session.console().report_status(interrupts.error());
  words.erase(words.begin());
  Invocation invocation(*command, session, settings, std::move(words));
  const int status = command->run(invocation);
  return session.interrupted() ? kInterrupted : status;
}

void describe_command(const Command& command, Session& session,
                      const std::function<void(const CLI::App&)>& visitor) {
  Invocation invocation(command, session, {}, {});
  invocation.describe_to(visitor);
  command.run(invocation);
}

Invocation::Invocation(const Command& command, Session& in, const Settings& with,
                       std::vector<std::string> words)
    : session(in),
      settings(with),
      command_(command),
      app_(std::string(command.summary), "cleave " + std::string(command.name)),
      words_(std::move(words)) {
  app_.formatter(std::make_shared<Usage>("cleave " + std::string(command.name) + " [OPTIONS] " +
                                         std::string(command.usage)));
  add_common_options(app_, settings);
}

std::optional<int> Invocation::parse() {
  if (visitor_) {
    visitor_(app_);
    return kOk;
  }
  std::vector<std::string> reversed(words_.rbegin(), words_.rend());
  try {
    app_.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    std::cout << app_.help() << std::flush;
    return kOk;
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what());
  }
  console().set_up(settings);
  return carried();
}

std::optional<int> Invocation::carried() {
  const Carrier carrier = carrier_of(session.server());
  if ((command_.carriers & carrier) != 0) return std::nullopt;
  std::string names;
  for (const Command& command : kCommands) {
    if ((command.carriers & carrier) != 0) names += " " + std::string(command.name);
  }
  return usage_error(session.server().url() + " carries these commands alone:" + names);
}

std::optional<int> Invocation::parse_leading(std::vector<std::string>& rest) {
  app_.prefix_command();
  if (auto status = parse()) return status;
  rest = app_.remaining();
  if (rest.empty()) return std::nullopt;
  if (rest.front() == "--") {
    rest.erase(rest.begin());
  } else if (rest.front().size() > 1 && rest.front().front() == '-') {
    return usage_error("there is no option '" + rest.front() + "'; write -- before the first word");
  }
  return std::nullopt;
}

int Invocation::usage_error(const std::string& sentence) {
  std::fprintf(stderr, "cleave: %s; see %s --help\n", sentence.c_str(), app_.get_name().c_str());
  return kUsage;
}

}  // namespace cleave::cli
