// SPDX-License-Identifier: MIT
// The commands of the file store that have no body worth speaking of.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/remote_directory.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/text_writer.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {
namespace {

constexpr std::size_t kWrittenAtOnce = 65'536;

std::string results_lines(const Header& header, bool raw) {
  std::string lines;
  for (const Value value : results(header)) {
    if (!lines.empty()) lines += '\n';
    std::string& line = lines.append(shown(value.name(), raw)).append(": ");
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
  }
  return lines;
}

// As a directory is completed and often written: "albums/".
std::string without_slash(std::string name) {
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name;
}

// Shows the members of a reply, if they are wanted.
int finish(Invocation& invocation, const Outcome& outcome, bool show) {
  if (!outcome.result) return invocation.console().report_status(outcome.result.error());
  const bool json = invocation.settings.json;
  if (!json && !show) return kOk;
  return write_utf8_result(invocation.session, invocation.settings,
                           json ? results_json(*outcome.header)
                                : results_lines(*outcome.header, invocation.settings.raw));
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

Result<std::string> entry_line(HeaderParser& parser, std::string_view json, bool raw,
                               bool coloured) {
  auto entry = RemoteEntry::parse(parser, json);
  if (!entry) return fail(entry.error());
  std::string type = shown(entry->type, raw);
  type.resize(std::max<std::size_t>(type.size(), 9), ' ');
  std::array<char, 32> size{};
  std::snprintf(size.data(), size.size(), " %14llu  ",
                static_cast<unsigned long long>(entry->size));
  std::string name = shown(entry->name, raw);
  if (coloured && entry->type == "directory") name = "\x1b[1;34m" + name + "\x1b[0m";
  return type + size.data() + local_time(entry->mtime_ms) + "  " + name;
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
  Settings settings = invocation.settings;
  settings.encoding.clear();  // names are JSON, and that is UTF-8
  TextWriter out(invocation.session, settings, STDOUT_FILENO, "standard output");
  HeaderParser parser;
  const bool coloured = invocation.console().output_coloured();
  std::string lines;
  Result<void> listed = list_directory(
      invocation.session, settings, directory_name(directory),
      [&](std::string_view json) -> Result<void> {
        Result<std::string> line =
            settings.json ? json_line(json) : entry_line(parser, json, settings.raw, coloured);
        if (!line) return fail(line.error());
        lines.append(*line).append("\n");
        if (lines.size() < kWrittenAtOnce) return {};
        out.write(Buffer::own(std::exchange(lines, {})));
        return out.drain() ? Result<void>{} : fail(interrupted_error());
      });
  // What has come before a failure is shown, too.
  if (const std::optional<Error> lost = out.finish(lines)) {
    return invocation.console().report_status(*lost);
  }
  return listed ? kOk : invocation.console().report_status(listed.error());
}

}  // namespace cleave::cli
