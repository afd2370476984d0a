// SPDX-License-Identifier: MIT
// The commands that send a little and print what comes back.
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/readable.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/server_description.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/text_writer.h"

namespace cleave::cli {
namespace {

int send_text(Invocation& invocation, std::string cmd) {
  std::vector<std::string> words;
  if (auto status = invocation.parse_leading(words)) return *status;
  if (words.empty()) return invocation.usage_error("a TEXT is needed");
  std::string text = std::move(words.front());
  for (std::size_t i = 1; i < words.size(); ++i) text += " " + words[i];
  std::string body;
  const Outcome outcome =
      run_repeatable(invocation.session, invocation.settings,
                     {.cmd = std::move(cmd), .body = Buffer::own(std::move(text))}, body);
  if (!outcome.result) return invocation.console().report_status(outcome.result.error());
  return write_result(invocation.session, invocation.settings, std::move(body));
}

// The JSON object that a command without arguments replies with.
Result<std::string> ask(Invocation& invocation, std::string cmd) {
  std::string body;
  const Outcome outcome =
      run_repeatable(invocation.session, invocation.settings, {.cmd = std::move(cmd)}, body);
  if (!outcome.result) return fail(outcome.result.error());
  return body;
}

// Programs read JSON, and whoever sits at a terminal does not.
bool for_people(const Invocation& invocation) {
  return !invocation.settings.json && ::isatty(STDOUT_FILENO) == 1;
}

// What the server says of itself.
int print_description(Invocation& invocation, const std::string& json) {
  if (for_people(invocation)) {
    if (auto parsed = parse_description(json)) {
      return write_utf8_result(invocation.session, invocation.settings,
                               readable((*parsed)->root(), page_width()));
    }
  }
  return write_utf8_result(invocation.session, invocation.settings, json_line(json));
}

int show(Invocation& invocation, std::string cmd) {
  if (auto status = invocation.parse()) return *status;
  const Result<std::string> body = ask(invocation, std::move(cmd));
  return body ? print_description(invocation, *body)
              : invocation.console().report_status(body.error());
}

// The one of the server's commands that has this name, as JSON.
Result<std::string> find_command(const std::string& help, const std::string& name) {
  const Result<Ref<const Header>> parsed = parse_description(help);
  if (!parsed) return fail(parsed.error());
  if (const auto commands = (*parsed)->find("commands")) {
    for (const Value command : *commands) {
      const auto cmd = command.find("cmd");
      if (!cmd || cmd->string() != name) continue;
      std::string json;
      append_json(json, command);
      return json;
    }
  }
  return fail(Errc::not_found, "the server has no command '" + name + "'");
}

// What can be typed here: all of our commands, or the one of a name, if there is one.
std::string help_of_ours(Session& session, const std::string& name) {
  if (name.empty()) return columns(command_lists(), page_width());
  const auto all = commands();
  const auto command = std::ranges::find(all, name, &Command::name);
  std::string page;
  if (command == all.end()) return page;
  describe_command(*command, session, [&](const CLI::App& app) {
    page = help_page(manual_of(*command), terms_of(app), page_width());
  });
  return page;
}

}  // namespace

int run_echo(Invocation& invocation) {
  return send_text(invocation, "echo");
}
int run_upper(Invocation& invocation) {
  return send_text(invocation, "upper");
}
int run_ping(Invocation& invocation) {
  return show(invocation, "ping");
}
int run_stats(Invocation& invocation) {
  return show(invocation, "stats");
}
int run_limits(Invocation& invocation) {
  return show(invocation, "limits");
}
int run_help(Invocation& invocation) {
  std::string name;
  invocation.app().add_option("CMD", name, "The one that is to be shown; default all");
  if (auto status = invocation.parse()) return *status;
  const std::string ours =
      for_people(invocation) ? help_of_ours(invocation.session, name) : std::string();
  if (const int status =
          ours.empty() ? kOk : write_utf8_result(invocation.session, invocation.settings, ours);
      status != kOk) {
    return status;
  }
  Result<std::string> text = ask(invocation, "help");
  if (text && !name.empty()) text = find_command(*text, name);
  if (text) return print_description(invocation, *text);
  // Not every command of ours is one of the server's.
  if (!ours.empty() && text.error().code == Errc::not_found) return kOk;
  return invocation.console().report_status(text.error());
}

}  // namespace cleave::cli
