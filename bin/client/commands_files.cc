// SPDX-License-Identifier: MIT
// The commands of the file store that have no body worth speaking of.
#include <cstdio>
#include <limits>
#include <optional>
#include <string>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/text.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {
namespace {

void print_results(const Header& header) {
  for (const Value value : results(header)) {
    std::string line = printable(value.name()) + ": ";
    if (value.kind() == Value::Kind::string) {
      line += printable(value.text());
    } else {
      std::string json;
      append_json(json, value);
      line += json_line(json);
    }
    if (value.name() == "mtime_ms" && value.integer()) {
      line += " (" + local_time(*value.integer()) + ")";
    }
    std::puts(line.c_str());
  }
}

// Sends a request that is all members, and shows the members of its reply if they are wanted.
int ask(Invocation& invocation, Call call, bool show) {
  std::string body;
  const Outcome outcome = invocation.session.run(invocation.settings, std::move(call), body);
  if (!outcome.result) return report_status(outcome.result.error());
  if (invocation.settings.json) {
    std::puts(results_json(*outcome.header).c_str());
  } else if (show) {
    print_results(*outcome.header);
  }
  return finish_results();
}

int ask_about(Invocation& invocation, std::string cmd, bool show) {
  std::string name;
  invocation.app().add_option("NAME", name, "The name of the file on the server")->required();
  if (auto status = invocation.parse()) return *status;
  return ask(invocation, {.cmd = std::move(cmd), .members = Members().set("filename", name)}, show);
}

// One entry of a list, as it came: a line of JSON.
Result<void> print_entry(HeaderParser& parser, std::string_view line) {
  if (line.size() > parser.limits().header_bytes) {
    return fail(Errc::too_large, "an entry of the list is longer than a header may be");
  }
  auto entry = parser.parse(line);
  if (!entry) return fail(entry.error());
  auto name = (*entry)->string("name");
  if (!name) return fail(name.error());
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  const std::string type = printable((*entry)->string_or("type", "?").value_or("?"));
  const auto size = (*entry)->integer_or("file_size", 0, kMax, 0).value_or(0);
  const auto time =
      (*entry)->integer_or("mtime_ms", std::numeric_limits<std::int64_t>::min(), kMax, 0);
  std::printf("%-9s %14lld  %s  %s\n", type.c_str(), static_cast<long long>(size),
              local_time(time.value_or(0)).c_str(), printable(*name).c_str());
  return {};
}

Result<void> print_page(std::string_view page, bool json) {
  HeaderParser parser;
  while (!page.empty()) {
    const std::string_view line = page.substr(0, page.find('\n'));
    page.remove_prefix(std::min(page.size(), line.size() + 1));
    if (line.empty()) continue;
    if (json) {
      std::puts(json_line(line).c_str());
    } else if (auto printed = print_entry(parser, line); !printed) {
      return printed;
    }
  }
  return {};
}

}  // namespace

int run_stat(Invocation& invocation) {
  return ask_about(invocation, "stat", true);
}
int run_verify(Invocation& invocation) {
  return ask_about(invocation, "verify", true);
}
int run_rm(Invocation& invocation) {
  return ask_about(invocation, "delete", false);
}

int run_mv(Invocation& invocation) {
  std::string from;
  std::string to;
  bool keep = false;
  invocation.app().add_option("FROM", from, "The name of the file on the server")->required();
  invocation.app().add_option("TO", to, "Its new name")->required();
  invocation.app().add_flag("--no-overwrite", keep, "Fail if there is a file of the new name");
  if (auto status = invocation.parse()) return *status;
  Call call{.cmd = "move", .members = Members().set("filename", from).set("to", to)};
  if (keep) call.members.set("overwrite", false);
  return ask(invocation, std::move(call), false);
}

int run_ls(Invocation& invocation) {
  std::string directory;
  invocation.app().add_option("DIR", directory, "A directory on the server; default the root");
  if (auto status = invocation.parse()) return *status;
  std::optional<std::string> after;
  while (true) {
    Call call{.cmd = "list"};
    if (!directory.empty()) call.members.set("filename", directory);
    if (after) call.members.set("after", *after);
    std::string page;
    const Outcome outcome = invocation.session.run(invocation.settings, std::move(call), page);
    if (!outcome.result) return report_status(outcome.result.error());
    if (auto printed = print_page(page, invocation.settings.json); !printed) {
      return report_status(printed.error());
    }
    const std::optional<Value> next = outcome.header->find("next");
    // A server that sends us in a circle is not followed.
    if (!next || !next->string() || (after && *next->string() <= *after)) break;
    after = std::string(*next->string());
  }
  return finish_results();
}

}  // namespace cleave::cli
