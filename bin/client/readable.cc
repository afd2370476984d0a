// SPDX-License-Identifier: MIT
#include "cleave/bin/client/readable.h"

#include <array>
#include <vector>

#include "cleave/bin/client/text.h"
#include "cleave/bin/manual.h"

namespace cleave::cli {
namespace {

// A string as it is, anything else as JSON; empty where there is no such member.
std::string text_of(Value object, std::string_view member) {
  const auto value = object.find(member);
  if (!value) return {};
  if (const auto text = value->string()) return printable(*text);
  std::string json;
  append_json(json, *value);
  return json_line(json);
}

void append_lines(std::string& out, const std::string& prefix, Value object) {
  for (const Value value : object) {
    const std::string name = prefix + printable(value.name());
    if (value.kind() == Value::Kind::object) {
      append_lines(out, name + ".", value);
    } else {
      out += name + ": " + text_of(object, value.name()) + "\n";
    }
  }
}

TermList commands_of(Value commands, std::string title) {
  TermList list{std::move(title), {}};
  for (const Value command : commands) {
    // Those that exec can be asked for have a name.
    const std::string cmd = text_of(command, "cmd");
    list.terms.emplace_back(cmd.empty() ? text_of(command, "name") : cmd,
                            text_of(command, "summary"));
  }
  return list;
}

std::string one_command(Value command, std::size_t width) {
  std::vector<TermList> lists;
  if (const auto arguments = command.find("arguments"); arguments && arguments->size() > 0) {
    TermList& list = lists.emplace_back(TermList{"Members of a request", {}});
    for (const Value argument : *arguments) {
      const bool required = text_of(argument, "required") == "true";
      list.terms.emplace_back(text_of(argument, "name") + "=" + text_of(argument, "type"),
                              text_of(argument, "summary") + (required ? " (needed)" : ""));
    }
  }
  if (const auto named = command.find("commands")) {
    lists.push_back(commands_of(*named, "Commands that it runs by their names"));
  }
  return filled("The server's " + text_of(command, "cmd") + ": " + text_of(command, "summary"),
                width) +
         "\n" + columns(lists, width);
}

std::string lines_of(Value object, std::size_t width) {
  if (object.find("cmd")) return one_command(object, width);
  if (const auto commands = object.find("commands");
      commands && commands->kind() == Value::Kind::array) {
    const std::array lists = {commands_of(*commands, "The server's commands, for call")};
    return columns(lists, width);
  }
  std::string out;
  append_lines(out, "", object);
  return out;
}

}  // namespace

std::string readable(Value object, std::size_t width) {
  std::string lines = lines_of(object, width);
  if (!lines.empty()) lines.pop_back();
  return lines;
}

}  // namespace cleave::cli
