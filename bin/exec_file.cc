// SPDX-License-Identifier: MIT
#include "cleave/bin/exec_file.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cleave/bin/toml_file.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::int64_t kMaxMillis = std::int64_t{30} * 24 * 3'600'000;

tl::unexpected<Error> wrong(std::string sentence) {
  return fail(Errc::invalid_argument, std::move(sentence));
}

// A table whose keys are taken one after the other. What went wrong first is kept, so that a reader
// can ask for all keys and look once; what nobody took is no key.
class Table {
 public:
  Table(const toml::table& table, std::string place) : table_(table), place_(std::move(place)) {}

  void take(std::string_view key, std::string& into) {
    take_as<std::string>(key, "a string in quotes", [&into](const std::string& v) { into = v; });
  }
  void take(std::string_view key, bool& into) {
    take_as<bool>(key, "true or false", [&into](bool v) { into = v; });
  }
  void take(std::string_view key, std::int64_t& into) {
    take_as<std::int64_t>(key, "an integer", [&into](std::int64_t v) { into = v; });
  }
  void take(std::string_view key, std::optional<std::uint64_t>& into, std::int64_t min,
            std::int64_t max) {
    take_as<std::int64_t>(key, "an integer", [&](std::int64_t v) {
      if (v < min || v > max) {
        return refuse(key, std::to_string(min) + " to " + std::to_string(max));
      }
      into = static_cast<std::uint64_t>(v);
    });
  }
  void take(std::string_view key, std::vector<std::string>& into) {
    const toml::node* const node = find(key);
    if (node == nullptr) return;
    const toml::array* const array = node->as_array();
    if (array == nullptr) return refuse(key, "strings in quotes, in brackets");
    for (const toml::node& element : *array) {
      const auto text = element.value_exact<std::string>();
      if (!text) return refuse(key, "strings in quotes, in brackets");
      into.push_back(*text);
    }
  }
  // The table of that name, or null.
  [[nodiscard]] const toml::table* take_table(std::string_view key) {
    const toml::node* const node = find(key);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) refuse(key, "a table");
    return node->as_table();
  }

  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  [[nodiscard]] std::string place(std::string_view key) const {
    return place_ + "." + std::string(key);
  }
  void refuse(std::string_view key, const std::string& expected) {
    if (!error_) error_ = place(key) + ": expected " + expected;
  }

  // What was wrong, or that there was a key too many.
  [[nodiscard]] Result<void> finish() const {
    if (error_) return wrong(*error_);
    for (const auto& [key, node] : table_) {
      if (std::ranges::find(taken_, key.str()) == taken_.end()) {
        return wrong(place(key.str()) + ": there is no such key");
      }
    }
    return {};
  }

 private:
  const toml::node* find(std::string_view key) {
    taken_.emplace_back(key);
    return table_.get(key);
  }
  template <typename T, typename Use>
  void take_as(std::string_view key, const char* expected, Use use) {
    const toml::node* const node = find(key);
    if (node == nullptr) return;
    if (const auto value = node->value_exact<T>()) return use(*value);
    refuse(key, expected);
  }

  const toml::table& table_;
  std::string place_;
  std::vector<std::string> taken_;
  std::optional<std::string> error_;
};

Result<NamedArgument> read_argument(const toml::table& toml, const std::string& place) {
  Table table(toml, place);
  NamedArgument argument;
  std::vector<std::string> one_of;
  std::string pattern;
  std::string below;
  NamedArgument::Integer integer{};
  const int rules = static_cast<int>(table.has("one_of")) + static_cast<int>(table.has("pattern")) +
                    static_cast<int>(table.has("below")) +
                    static_cast<int>(table.has("min") || table.has("max"));
  table.take("summary", argument.summary);
  table.take("required", argument.required);
  table.take("list", argument.list);
  table.take("may_begin_with_dash", argument.may_begin_with_dash);
  table.take("one_of", one_of);
  table.take("pattern", pattern);
  table.take("below", below);
  table.take("min", integer.min);
  table.take("max", integer.max);
  if (Result<void> read = table.finish(); !read) return fail(std::move(read.error()));
  if (rules != 1 || table.has("min") != table.has("max")) {
    return wrong(place + ": expected one of one_of, pattern, below, or min and max");
  }
  if (table.has("pattern")) {
    Result<Pattern> compiled = Pattern::compile(pattern);
    if (!compiled) return wrong(place + ".pattern: " + compiled.error().message);
    argument.rule = *std::move(compiled);
  } else if (table.has("below")) {
    argument.rule = NamedArgument::Below{std::move(below)};
  } else if (table.has("min")) {
    argument.rule = integer;
  } else {
    argument.rule = std::move(one_of);
  }
  return argument;
}

Result<NamedCommand> read_command(const toml::table& toml, const std::string& place) {
  Table table(toml, place);
  NamedCommand command;
  std::string on_disconnect = "kill";
  table.take("summary", command.summary);
  table.take("argv", command.argv);
  table.take("runner", command.runner);
  table.take("cwd", command.cwd);
  table.take("client_env", command.client_env);
  table.take("timeout_ms", command.timeout_ms, 1, kMaxMillis);
  table.take("silence_ms", command.silence_ms, 1, kMaxMillis);
  table.take("output_bytes", command.output_bytes, 1, std::int64_t{1} << 40);
  table.take("max_parallel", command.max_parallel, 1, 10'000);
  table.take("on_disconnect", on_disconnect);
  table.take("background", command.background);
  table.take("user", command.user);
  table.take("group", command.group);
  table.take("no_new_privileges", command.no_new_privileges);
  if (on_disconnect != "kill" && on_disconnect != "detach") {
    table.refuse("on_disconnect", "kill or detach");
  }
  command.detach = on_disconnect == "detach";
  if (const toml::table* env = table.take_table("env")) {
    Table variables(*env, table.place("env"));
    for (const auto& [key, node] : *env) {
      variables.take(key.str(), command.env[std::string(key.str())]);
    }
    if (Result<void> read = variables.finish(); !read) return fail(std::move(read.error()));
  }
  if (const toml::table* rlimits = table.take_table("rlimits")) {
    Table limits(*rlimits, table.place("rlimits"));
    for (const auto& [key, node] : *rlimits) {
      std::optional<std::uint64_t> value;
      limits.take(key.str(), value, 0, std::int64_t{1} << 60);
      command.rlimits[std::string(key.str())] = value.value_or(0);
    }
    if (Result<void> read = limits.finish(); !read) return fail(std::move(read.error()));
  }
  if (const toml::table* arguments = table.take_table("args")) {
    for (const auto& [key, node] : *arguments) {
      const std::string where = table.place("args") + "." + std::string(key.str());
      if (!node.is_table()) return wrong(where + ": expected a table");
      Result<NamedArgument> argument = read_argument(*node.as_table(), where);
      if (!argument) return fail(std::move(argument.error()));
      command.arguments.emplace(std::string(key.str()), *std::move(argument));
    }
  }
  if (Result<void> read = table.finish(); !read) return fail(std::move(read.error()));
  if (Result<void> checked = check_command(command); !checked) {
    return wrong(place + ": " + checked.error().message);
  }
  return command;
}

}  // namespace

Result<NamedCommands> parse_exec_file(std::string_view toml, const std::string& name) {
  NamedCommands commands;
  const Result<toml::table> file = parse_toml(toml, name);
  if (!file) return fail(file.error());
  Table table(*file, name);
  const toml::table* const listed = table.take_table("commands");
  if (Result<void> read = table.finish(); !read) return fail(std::move(read.error()));
  if (listed == nullptr || listed->empty()) {
    return wrong(name + ": expected tables [commands.NAME], there is none");
  }
  for (const auto& [key, node] : *listed) {
    const std::string place = place_of(name, key);
    if (!node.is_table()) return wrong(place + ": expected a table");
    Result<NamedCommand> command = read_command(*node.as_table(), place);
    if (!command) return fail(std::move(command.error()));
    commands.emplace(std::string(key.str()), *std::move(command));
  }
  return commands;
}

}  // namespace v0
}  // namespace cleave
