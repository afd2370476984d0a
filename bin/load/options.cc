// SPDX-License-Identifier: MIT
#include "cleave/bin/load/options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cleave/bin/client/request_members.h"
#include "cleave/bin/man_page.h"

namespace cleave::load {
namespace {

// More than one machine has ports for, by one address; each takes a descriptor and some KiB of the
// system's memory.
constexpr std::uint32_t kConnections = 65'536;
// A server of Cleave's takes 256 at once by default; beyond some hundreds a queue only gets longer.
constexpr std::uint32_t kDepth = 4'096;
// In all, at 24 bytes each.
constexpr std::uint64_t kInFlight = 4'194'304;
// A body that is made up takes no memory, so this only keeps counters from running over.
constexpr std::uint64_t kBodyBytes = std::uint64_t{1} << 40U;
constexpr double kSeconds = 1e6;  // eleven days
constexpr double kRate = 1e9;     // as many as there are nanoseconds in a second
constexpr std::uint64_t kRequests = 1'000'000'000'000;

constexpr std::array kExamples = {
    cli::Example{"cleave-bench --duration 3 echo", "as fast as it goes"},
    cli::Example{"cleave-bench --rate 1000 --duration 3 echo", "what users see at that rate"},
};

const cli::Manual& manual() {
  static const cli::Manual manual = {
      .name = "cleave-bench",
      .usage = "[-s URL] [OPTIONS] [COMMAND] [--header NAME=VALUE]...",
      .summary = "puts a server of Cleave's frames under load, and measures it",
      .about =
          "Closed loop: each connection has --depth requests in flight all the time, so a server "
          "that stands still is asked nothing meanwhile. Open loop (--rate): requests are due by a "
          "schedule, and latency counts from when they were due, whenever they could be sent.\n\n"
          "With a --depth of 1 nearly all of a message's time is the system's, and servers look "
          "alike; at 16 what the server itself takes shows, and beyond that little changes.\n\n"
          "Headers: `repeated` uses the ids 0 to depth-1 of each connection again and again, as "
          "clients do that keep a pool of them. `counting` gives each request another id, so that "
          "no "
          "header comes twice: the server has to parse every one. With --no-id all headers are the "
          "same bytes and replies come in order: the fastest path, for servers that know a header "
          "again.\n\n"
          "Replies are checked: their status always, and of echo and upper the body too.\n\n"
          "Exit status: 0 ok, 1 replies that were errors or wrong, 2 usage, 5 network, 124 "
          "requests "
          "that were not answered in time, 130 interrupted. Ctrl-C ends the measurement early and "
          "reports it; a second one does not wait for replies.",
      .examples = kExamples};
  return manual;
}

Millis millis(double seconds) {
  return Millis(static_cast<Millis::rep>(std::ceil(seconds * 1'000)));
}

// What is out of range is told by the sentence, so that the help stays short.
template <typename T>
CLI::Validator from_to(T min, T max) {
  return CLI::Range(min, max).description("");
}

// The same, of what CLI::Range lets through when it is no number at all.
CLI::Validator between(double min, double max) {
  const CLI::Range range(min, max);
  return {[range](std::string& text) {
            double number = 0;
            const bool is_number = !CLI::detail::lexical_cast(text, number) || !std::isnan(number);
            return is_number ? range(text) : text + " is no number";
          },
          ""};
}

// What the options say, before it is made sense of.
struct Words {
  std::string server = "tcp://127.0.0.1:8080";
  std::vector<std::string> headers;
  std::string headers_are = "repeated";
  double duration = 10;
  double warm_up = 0;
  double timeout = 10;
  double rate = 0;
  std::uint64_t requests = 0;
  pid_t pid = 0;
  bool no_id = false;
  bool no_check = false;
};

Result<Settings> settings_from(const CLI::App& app, const Words& words, Settings settings) {
  Result<Endpoint> endpoint = Endpoint::parse(words.server);
  if (!endpoint) return fail(endpoint.error());
  const bool connects = endpoint->transport == Endpoint::Transport::tcp ||
                        endpoint->transport == Endpoint::Transport::local;
  if (!connects || endpoint->wire != Wire::frame) {
    return fail(Errc::invalid_argument,
                "only tcp:// and unix: addresses with the wire frame carry "
                "load, and not " +
                    words.server);
  }
  settings.endpoint = *std::move(endpoint);
  Result<Members> members = cli::request_members(words.headers);
  if (!members) return fail(members.error());
  settings.members = *std::move(members);
  if (settings.cmd.empty() || settings.cmd.size() > 64) {
    return fail(Errc::invalid_argument, "a command has from 1 to 64 bytes");
  }
  if (std::uint64_t{settings.connections} * settings.depth > kInFlight) {
    return fail(Errc::invalid_argument, "there can be " + std::to_string(kInFlight) +
                                            " requests in flight on all connections");
  }
  const bool counting = words.headers_are == "counting";
  if (words.no_id && counting) {
    return fail(Errc::invalid_argument, "headers that count need ids");
  }
  settings.ids = words.no_id ? Ids::none : counting ? Ids::counting : Ids::repeated;
  settings.check = !words.no_check;
  settings.warm_up = millis(words.warm_up);
  settings.timeout = millis(words.timeout);
  if (app.count("--requests") > 0) settings.requests = words.requests;
  if (app.count("--duration") > 0 || !settings.requests) settings.duration = millis(words.duration);
  if (app.count("--rate") > 0) settings.rate = words.rate;
  if (app.count("--pid") > 0) settings.pid = words.pid;
  return settings;
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  Words words;
  Settings settings;
  bool man = false;
  CLI::App app("", "cleave-bench");
  app.set_help_flag("-h,--help", "Show this");
  app.set_version_flag("--version", "cleave-bench " CLEAVE_VERSION, "Show the version");
  app.add_flag("--man", man, "Write the man page")->group("");
  app.add_option("COMMAND", settings.cmd, "What is asked for")->capture_default_str();
  app.add_option("-s,--server", words.server, "The server's address")
      ->envname("CLEAVE_SERVER")
      ->capture_default_str()
      ->type_name("URL");
  app.add_option("--header", words.headers, "A member of the requests; JSON, or else a string")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("-c,--connections", settings.connections, "How many connections")
      ->capture_default_str()
      ->type_name("N")
      ->check(from_to(std::uint32_t{1}, kConnections));
  app.add_option("-d,--depth", settings.depth, "Requests in flight on each: see below")
      ->capture_default_str()
      ->type_name("N")
      ->check(from_to(std::uint32_t{1}, kDepth));
  auto* const body =
      app.add_option("-b,--body", settings.body_bytes, "Bytes of each request's body; K, M, G")
          ->capture_default_str()
          ->type_name("SIZE")
          ->transform(CLI::AsSizeValue(false).description(""))
          ->check(from_to(std::uint64_t{0}, kBodyBytes));
  app.add_option("--body-file", settings.body_file, "The body, in place of one that is made up")
      ->type_name("FILE")
      ->excludes(body);
  app.add_option("--duration", words.duration, "How long to measure")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(between(0.001, kSeconds));
  app.add_option("--requests", words.requests,
                 "Measure so many, for as long as they take without --duration")
      ->type_name("N")
      ->check(from_to(std::uint64_t{1}, kRequests));
  app.add_option("--warm-up", words.warm_up, "Load that is not measured, before")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(between(0, kSeconds));
  app.add_option("--timeout", words.timeout,
                 "How long to wait for connections, and for replies at the end")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(between(0.001, kSeconds));
  app.add_option("--rate", words.rate, "An open loop: so many requests a second, in all")
      ->type_name("N")
      ->check(between(0.001, kRate));
  app.add_option("--headers", words.headers_are, "repeated or counting: see below")
      ->capture_default_str()
      ->type_name("WHICH")
      ->check(CLI::IsMember({"repeated", "counting"}).description(""));
  app.add_flag("--no-id", words.no_id, "Requests without an id, all with the same header");
  app.add_flag("--no-check", words.no_check, "Do not compare bodies");
  app.add_option("--pid", words.pid, "The server's process: tells its time for a message")
      ->type_name("PID")
      ->check(CLI::PositiveNumber);
  app.add_flag("--json", settings.json, "Print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return CommandLine{.print = cli::help_page(manual(), cli::terms_of(app), cli::page_width())};
  } catch (const CLI::CallForVersion& version) {
    return CommandLine{.print = version.what() + std::string("\n")};
  } catch (const CLI::ParseError& error) {
    return fail(Errc::invalid_argument, error.what());
  }
  if (man) return CommandLine{.print = cli::man_page(manual(), cli::terms_of(app))};
  Result<Settings> made = settings_from(app, words, std::move(settings));
  if (!made) return fail(made.error());
  return CommandLine{.settings = *std::move(made)};
}

}  // namespace cleave::load
