// SPDX-License-Identifier: MIT
#include "cleave/bin/client/command.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cleave/bin/client/encoding.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/nearest.h"
#include "cleave/bin/client/pages.h"
#include "cleave/bin/client/presets.h"
#include "cleave/bin/client/second_interrupt.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/usage.h"
#include "cleave/protocol/utf8.h"

namespace cleave::cli {
namespace {

constexpr unsigned kAny = kFrames | kFrameDatagrams | kBareStream | kBareDatagrams;

constexpr std::array kCommands = {
    Command{"echo", "TEXT...", "sends text there and back", kAny, run_echo, kEchoPage},
    Command{"upper", "TEXT...", "has ASCII letters made upper case", kAny, run_upper, kUpperPage},
    Command{"exec", "[--] ARGV... | --shell LINE | --name NAME [KEY=VALUE]...",
            "runs a program on the server", kFrames | kBareStream, run_exec, kExecPage},
    Command{"put", "FILE [NAME]", "stores a file", kFrames, run_put, kPutPage},
    Command{"get", "NAME [FILE]", "fetches a file", kFrames, run_get, kGetPage},
    Command{"ls", "[DIR]", "lists a directory", kFrames, run_ls, kLsPage},
    Command{"stat", "NAME", "tells what is known of a file", kFrames, run_stat, kStatPage},
    Command{"rm", "NAME", "deletes a file or an empty directory", kFrames, run_rm, kRmPage},
    Command{"mv", "FROM TO", "gives a file or a directory another name", kFrames, run_mv, kMvPage},
    Command{"verify", "NAME", "has a file read again and compared with its digest", kFrames,
            run_verify, kVerifyPage},
    Command{"ping", "", "asks whether the server is there", kFrames | kFrameDatagrams, run_ping,
            kPingPage},
    Command{"stats", "", "shows the server's counters", kFrames, run_stats, kStatsPage},
    Command{"limits", "", "shows the server's limits", kFrames, run_limits, kLimitsPage},
    Command{"help", "[CMD]", "shows the commands that the server has, or one of them", kFrames,
            run_help, kHelpPage},
    Command{"call", "CMD [--header K=V]... [--body FILE|-]", "sends any request", kFrames, run_call,
            kCallPage},
    Command{"sticky", "[TEXT...]", "shows why messages stick together, and how frames part them",
            kNoServer, run_sticky, kStickyPage},
    Command{"decode", "[FILE]", "shows the frames of a byte stream", kNoServer, run_decode,
            kDecodePage},
};

Carrier carrier_of(const Endpoint& server) {
  const bool frames = server.wire == Wire::frame;
  if (server.is_datagram()) return frames ? kFrameDatagrams : kBareDatagrams;
  return frames ? kFrames : kBareStream;
}

constexpr double kLongestTimeout = 1e9;  // seconds; three decades

constexpr const char* kCommonGroup = "Options of every command";
constexpr const char* kServerGroup = "Options of every command that asks a server";

// A sentence where the system does not know it.
std::string known_encoding(const std::string& name) {
  const auto transcoder = Transcoder::create(name, terminal_encoding());
  return transcoder ? "" : transcoder.error().message;
}

// A sentence where it is no number of seconds that can be waited for.
std::string wrong_seconds(const std::string& text, bool may_be_none) {
  double seconds = 0;
  const bool number = CLI::detail::lexical_cast(text, seconds);
  // Not a number is less than nothing else, too.
  if (number && seconds >= 0.001 && seconds <= kLongestTimeout) return {};
  if (number && seconds == 0 && may_be_none) return {};
  return std::string("expected seconds, ") + (may_be_none ? "0, or " : "") +
         "from 0.001 to 1000000000, got '" + text + "'";
}

int unknown_command(const std::string& name) {
  if (name.starts_with('-')) {
    std::fprintf(stderr, "cleave: there is no option '%s'; see cleave --help\n",
                 printable(name).c_str());
    return kUsage;
  }
  std::vector<std::string_view> names;
  names.reserve(kCommands.size());
  for (const Command& command : kCommands) names.push_back(command.name);
  const std::string_view meant = nearest(name, names);
  const std::string question = meant.empty() ? "" : ", did you mean '" + std::string(meant) + "'?";
  std::fprintf(stderr, "cleave: there is no command '%s'%s; see cleave --help\n",
               printable(name).c_str(), question.c_str());
  return kUsage;
}

void add_seconds(CLI::App& app, const char* name, bool may_be_none, std::function<void(Millis)> set,
                 const char* what) {
  app.add_option_function<double>(
         name,
         [set = std::move(set)](double seconds) {
           set(Millis(static_cast<std::int64_t>(std::ceil(seconds * 1000))));
         },
         what)
      ->type_name("SECONDS")
      ->check([may_be_none](const std::string& text) { return wrong_seconds(text, may_be_none); });
}

// One of several names.
template <typename Choice>
void add_choice(CLI::App& app, const char* name, Choice& choice,
                std::vector<std::pair<std::string, Choice>> choices, const char* what) {
  std::string together;
  std::vector<std::string> names;
  for (const auto& [text, value] : choices) {
    together += (names.empty() ? "{" : ",") + text;
    names.push_back(text);
  }
  together += "}";
  app.add_option_function<std::string>(
         name,
         [&choice, choices = std::move(choices)](const std::string& text) {
           for (const auto& [known, value] : choices) {
             if (known == text) choice = value;
           }
         },
         what)
      ->type_name(together)
      ->check([together, names](const std::string& text) {
        return std::ranges::find(names, text) != names.end()
                   ? std::string()
                   : "expected one of " + together + ", got '" + text + "'";
      });
}

}  // namespace

std::span<const Command> commands() noexcept {
  return kCommands;
}

bool needs_no_server(std::string_view name) noexcept {
  const auto* command = std::ranges::find(kCommands, name, &Command::name);
  return command != kCommands.end() && command->carriers == kNoServer;
}

Manual manual_of(const Command& command) {
  return {.name = "cleave " + std::string(command.name),
          .usage = "[OPTIONS] " + std::string(command.usage),
          .summary = std::string(command.summary),
          .about = command.page.about,
          .examples = command.page.examples};
}

std::vector<TermList> command_lists() {
  std::vector<TermList> lists;
  for (const Command& command : kCommands) {
    const std::string topic(command.page.topic);
    auto list = std::ranges::find(lists, topic, &TermList::title);
    if (list == lists.end()) list = lists.insert(lists.end(), {topic, {}});
    list->terms.emplace_back(std::string(command.name) + " " + std::string(command.usage),
                             command.summary);
  }
  return lists;
}

void add_common_options(CLI::App& app, Settings& settings) {
  app.get_help_ptr()->group(kCommonGroup);
  app.option_defaults()->group(kCommonGroup);
  // Of the two, the one that is said last.
  const auto either = [&app](const char* name, bool& here, bool& there, const char* text) {
    return app.add_flag_function(
        name,
        [&here, &there](std::int64_t times) {
          here = times > 0;
          there = there && !here;
        },
        text);
  };
  CLI::Option* const quiet =
      either("-q,--quiet", settings.quiet, settings.verbose, "Say nothing but results and errors");
  either("-v,--verbose", settings.verbose, settings.quiet, "Say what goes on")->excludes(quiet);
  app.add_flag("--json", settings.json, "Print results as JSON, where they are not bytes");
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
  app.option_defaults()->group(kServerGroup);
  add_seconds(
      app, "--timeout", true,
      [&settings](Millis time) {
        settings.timeout = time > Millis(0) ? std::optional(time) : std::nullopt;
      },
      "End a request that takes longer; a server that keeps the time is waited for 7 more; 0: "
      "never");
  add_seconds(
      app, "--connect-timeout", false,
      [&settings](Millis time) { settings.connect_timeout = time; },
      "Give up connecting after so long; default 10");
  add_seconds(
      app, "--silence-timeout", true,
      [&settings](Millis time) {
        settings.silence_timeout = time > Millis(0) ? std::optional(time) : std::nullopt;
      },
      "Give up a server that is silent for so long; default 60, 0: never");
  app.add_option(
         "--retries", settings.retries,
         "How often to try again when the network or the server fails, up to 1000; default 3")
      ->type_name("N")
      ->check(whole_number(0, 1'000));
  app.add_option("--encoding", settings.encoding, "What the server's output is written in")
      ->type_name("NAME")
      ->check(known_encoding);
  app.add_flag("--raw", settings.raw, "Print results as they come, not converted or escaped");
  app.option_defaults()->group("Options");
}

int run_command(Session& session, const Settings& settings, std::vector<std::string> words) {
  const std::string name = words.front();
  const auto* command = std::ranges::find(kCommands, name, &Command::name);
  if (command == kCommands.end()) {
    return unknown_command(name);
  }
  auto interrupts = session.watch_interrupts();
  if (!interrupts) return session.console().report_status(interrupts.error());
  const SecondInterrupt second(session.loop());
  words.erase(words.begin());
  Invocation invocation(*command, session, settings, std::move(words));
  const int status = command->run(invocation);
  return session.interrupted() ? kInterrupted : status;
}

void describe_command(const Command& command, Session& session,
                      const std::function<void(CLI::App&)>& visitor) {
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
  app_.set_help_flag("-h,--help", "Show this");
  add_common_options(app_, settings);
  for (CLI::Option* const option : app_.get_options()) {
    // Those are in the settings already; what is the command's own says so where it can be preset.
    option->configurable(false);
    // Taken without a word, as they are before a command.
    const bool of_servers = option->get_group() == kServerGroup;
    if (of_servers && command.carriers == kNoServer) option->group("");
  }
  app_.option_defaults()->configurable(false);
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
    console().put(help_page(manual_of(command_), terms_of(app_), page_width()));
    return console().finish_results();
  } catch (const CLI::ExtrasError&) {
    const std::string extra = first_extra();
    const bool before = extra.starts_with("-s") || extra.starts_with("-p") ||
                        extra.starts_with("--server") || extra.starts_with("--profile") ||
                        extra.starts_with("--config");
    if (before) return usage_error("'" + extra + "' stands before the command");
    if (extra.starts_with('-')) return usage_error("there is no option '" + extra + "'");
    const std::string takes(command_.usage.empty() ? "nothing" : command_.usage);
    return usage_error("'" + extra + "' was not expected here: " + std::string(command_.name) +
                       " takes " + takes);
  } catch (const CLI::ParseError& error) {
    return usage_error(usage_sentence(app_, error));
  }
  if (settings.presets) {
    if (Result<void> preset = settings.presets->apply(app_); !preset) {
      return usage_error(preset.error().message);
    }
  }
  console().set_up(settings);
  for (const CLI::Option* option : app_.get_options()) {
    const auto is_empty = [](const std::string& word) { return word.empty(); };
    if (option->get_positional() && std::ranges::any_of(option->results(), is_empty)) {
      return usage_error("expected " + option->get_name() + ", got an empty word");
    }
    // What names a file here, or is text, is bytes.
    const bool bytes = option->get_name() == "FILE" || option->get_type_name() == "FILE" ||
                       option->get_name() == "TEXT";
    if (bytes) continue;
    for (const std::string& word : option->results()) {
      if (auto status = refuse_unless_utf8(word)) return status;
    }
  }
  return carried();
}

std::string Invocation::first_extra() const {
  std::vector<std::string> extras = app_.remaining();
  std::erase(extras, "--");
  const auto found = std::ranges::find_if(words_, [&extras](const std::string& word) {
    return std::ranges::find(extras, word) != extras.end();
  });
  return found == words_.end() ? extras.front() : *found;  // it may be a letter of -rc
}

std::optional<int> Invocation::refuse_unless_utf8(const std::string& word) {
  if (is_utf8(word)) return std::nullopt;
  return usage_error("'" + word +
                     "' has bytes that are not UTF-8, and a request's header can have no others");
}

std::optional<int> Invocation::carried() {
  const Carrier carrier = carrier_of(session.server());
  if ((command_.carriers & (carrier | kNoServer)) != 0) return std::nullopt;
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
  std::fprintf(stderr, "cleave: %s; see %s --help\n", printable(sentence).c_str(),
               app_.get_name().c_str());
  return kUsage;
}

}  // namespace cleave::cli
