// SPDX-License-Identifier: MIT
// The commands that send a little and print what comes back.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/writer.h"

namespace cleave::cli {
namespace {

// Waits until all of it has gone out.
int print(Session& session, std::string text) {
  Writer out(session.loop(), standard_descriptor(STDOUT_FILENO), "standard output", {});
  out.write(Buffer::own(std::move(text)));
  if (!session.wait_until([&out] { return out.idle(); })) return kInterrupted;
  return out.error() ? report_status(*out.error()) : kOk;
}

int send_text(Invocation& invocation, std::string cmd) {
  std::vector<std::string> words;
  if (auto status = invocation.parse_leading(words)) return *status;
  if (words.empty()) return invocation.usage_error("a TEXT is needed");
  std::string text = std::move(words.front());
  for (std::size_t i = 1; i < words.size(); ++i) text += " " + words[i];
  std::string body;
  const Outcome outcome = invocation.session.run(
      invocation.settings, {.cmd = std::move(cmd), .body = Buffer::own(std::move(text))}, body);
  if (!outcome.result) return report_status(outcome.result.error());
  return print(invocation.session, std::move(body) + "\n");
}

// A command without arguments whose reply is a JSON object.
int show(Invocation& invocation, std::string cmd) {
  if (auto status = invocation.parse()) return *status;
  std::string body;
  const Outcome outcome =
      invocation.session.run(invocation.settings, {.cmd = std::move(cmd)}, body);
  if (!outcome.result) return report_status(outcome.result.error());
  return print(invocation.session, json_line(body) + "\n");
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
  return show(invocation, "help");
}

}  // namespace cleave::cli
