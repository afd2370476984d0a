// SPDX-License-Identifier: MIT
// The commands of the file store that have no body worth speaking of.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/remote_directory.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/text.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {
namespace {

void print_line(std::string line) {
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stdout);  // it may hold a NUL
}

void print_results(const Header& header, bool raw) {
  for (const Value value : results(header)) {
    std::string line = shown(value.name(), raw) + ": ";
    if (value.kind() == Value::Kind::string) {
      line += shown(value.text(), raw);
    } else {
      std::string json;
      append_json(json, value);
      line += json_line(json);
    }
    if (value.name() == "mtime_ms" && value.integer()) {
      line += " (" + local_time(*value.integer()) + ")";
    }
    print_line(std::move(line));
  }
}

// As a directory is completed and often written: "albums/".
std::string without_slash(std::string name) {
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name;
}

// Shows the members of a reply, if they are wanted.
int finish(Invocation& invocation, const Outcome& outcome, bool show) {
  if (!outcome.result) return invocation.console().report_status(outcome.result.error());
  if (invocation.settings.json) {
    std::puts(results_json(*outcome.header).c_str());
  } else if (show) {
    print_results(*outcome.header, invocation.settings.raw);
  }
  return invocation.console().finish_results();
}

// Whether it may be sent again after a failure: a file that an answer which was lost has deleted is
// not there the second time.
enum class Repeat : bool { no, yes };

int ask_about(Invocation& invocation, std::string cmd, Repeat repeat) {
  std::string name;
  invocation.app().add_option("NAME", name, "The name of the file on the server")->required();
  if (auto status = invocation.parse()) return *status;
  name = without_slash(std::move(name));
  Call call{.cmd = std::move(cmd), .members = Members().set("filename", name)};
  std::string body;
  if (repeat == Repeat::yes) {
    return finish(invocation, run_repeatable(invocation.session, invocation.settings, call, body),
                  true);
  }
  return finish(invocation, invocation.session.run(invocation.settings, std::move(call), body),
                false);
}

Result<void> print_entry(HeaderParser& parser, std::string_view line, bool raw, bool coloured) {
  auto entry = RemoteEntry::parse(parser, line);
  if (!entry) return fail(entry.error());
  std::string type = shown(entry->type, raw);
  type.resize(std::max<std::size_t>(type.size(), 9), ' ');
  std::array<char, 32> size{};
  std::snprintf(size.data(), size.size(), " %14llu  ",
                static_cast<unsigned long long>(entry->size));
  std::string name = shown(entry->name, raw);
  if (coloured && entry->type == "directory") name = "\x1b[1;34m" + name + "\x1b[0m";
  print_line(type + size.data() + local_time(entry->mtime_ms) + "  " + name);
  return {};
}

}  // namespace

int run_stat(Invocation& invocation) {
  return ask_about(invocation, "stat", Repeat::yes);
}
int run_verify(Invocation& invocation) {
  return ask_about(invocation, "verify", Repeat::yes);
}
int run_rm(Invocation& invocation) {
  return ask_about(invocation, "delete", Repeat::no);
}

int run_mv(Invocation& invocation) {
  std::string from;
  std::string to;
  bool keep = false;
  invocation.app().add_option("FROM", from, "The name of the file on the server")->required();
  invocation.app().add_option("TO", to, "Its new name")->required();
  invocation.app().add_flag("--no-overwrite", keep, "Fail if there is a file of the new name");
  if (auto status = invocation.parse()) return *status;
  Call call{.cmd = "move",
            .members = Members().set("filename", without_slash(from)).set("to", without_slash(to))};
  if (keep) call.members.set("overwrite", false);
  std::string body;
  return finish(invocation, invocation.session.run(invocation.settings, std::move(call), body),
                false);
}

int run_ls(Invocation& invocation) {
  std::string directory;
  invocation.app().add_option("DIR", directory,
                              "A directory on the server; default the root, which is . or /");
  if (auto status = invocation.parse()) return *status;
  HeaderParser parser;
  const Result<void> listed = list_directory(
      invocation.session, invocation.settings, directory_name(directory),
      [&parser, &settings = invocation.settings,
       coloured = invocation.console().output_coloured()](std::string_view line) -> Result<void> {
        if (!settings.json) return print_entry(parser, line, settings.raw, coloured);
        std::puts(json_line(line).c_str());
        return {};
      });
  return listed ? invocation.console().finish_results()
                : invocation.console().report_status(listed.error());
}

}  // namespace cleave::cli
