// SPDX-License-Identifier: MIT
// The commands that send a little and print what comes back.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/standard_descriptor.h"
#include "cleave/bin/client/text.h"
#include "cleave/handlers/file_writer.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {
namespace {

// Waits until all of it has gone out.
int print(Invocation& invocation, std::string text) {
  Session& session = invocation.session;
  FileWriter out(session.loop(), standard_descriptor(STDOUT_FILENO), "standard output", {});
  out.write(Buffer::own(std::move(text)));
  if (!session.wait_until([&out] { return out.idle(); })) return kInterrupted;
  return out.error() ? invocation.console().report_status(*out.error()) : kOk;
}

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
  return print(invocation, std::move(body) + "\n");
}

// The JSON object that a command without arguments replies with.
Result<std::string> ask(Invocation& invocation, std::string cmd) {
  std::string body;
  const Outcome outcome =
      run_repeatable(invocation.session, invocation.settings, {.cmd = std::move(cmd)}, body);
  if (!outcome.result) return fail(outcome.result.error());
  return body;
}

int show(Invocation& invocation, std::string cmd) {
  if (auto status = invocation.parse()) return *status;
  const Result<std::string> body = ask(invocation, std::move(cmd));
  if (!body) return invocation.console().report_status(body.error());
  return print(invocation, json_line(*body) + "\n");
}

// The one of the server's commands that has this name, as JSON.
Result<std::string> find_command(const std::string& help, const std::string& name) {
  // It is no header, and may be longer than one.
  constexpr std::uint32_t kMost = 16 * 1024 * 1024;
  HeaderParser parser({.header_bytes = kMost, .depth = 16, .values = 1'000'000});
  if (help.size() > kMost) return fail(Errc::too_large, "the server's help is too long");
  const Result<Ref<const Header>> parsed = parser.parse(help);
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
  Result<std::string> text = ask(invocation, "help");
  if (text && !name.empty()) text = find_command(*text, name);
  if (!text) return invocation.console().report_status(text.error());
  return print(invocation, json_line(*text) + "\n");
}

}  // namespace cleave::cli
