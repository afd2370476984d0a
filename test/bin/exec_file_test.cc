// SPDX-License-Identifier: MIT
#include "cleave/bin/exec_file.h"

#include <doctest/doctest.h>

#include <string>

using namespace cleave;

namespace {

std::string exec_refusal(std::string_view toml) {
  const Result<NamedCommands> commands = parse_exec_file(toml, "e.toml");
  REQUIRE_FALSE(commands);
  CHECK(commands.error().code == Errc::invalid_argument);
  return commands.error().message;
}

}  // namespace

TEST_CASE("a file of commands is read with all that a command can have") {
  const Result<NamedCommands> commands = parse_exec_file(R"(
[commands.backup]
summary = "copies a folder"
argv = ["/bin/cp", "--", "{from}", "{to}", "{more...}", "{mode}"]
runner = ["/usr/bin/env"]
cwd = "/tmp"
env = { A = "1" }
client_env = ["TZ"]
timeout_ms = 5_000
silence_ms = 1_000
output_bytes = 1_000
max_parallel = 2
on_disconnect = "detach"
no_new_privileges = true
rlimits = { nproc = 10, core = 0 }

[commands.backup.args]
from = { below = "/srv" }
to = { pattern = "[a-z]+", summary = "where to" }
more = { one_of = ["a", "b"], list = true, required = false }
mode = { min = 0, max = 511, may_begin_with_dash = true }

[commands.other]
argv = ["/bin/true"]
)",
                                                         "e.toml");
  REQUIRE(commands);
  REQUIRE(commands->size() == 2);
  const NamedCommand& backup = commands->at("backup");
  CHECK(backup.summary == "copies a folder");
  CHECK(backup.argv.size() == 6);
  CHECK(backup.runner == std::vector<std::string>{"/usr/bin/env"});
  CHECK(backup.cwd == "/tmp");
  CHECK(backup.env.at("A") == "1");
  CHECK(backup.client_env == std::vector<std::string>{"TZ"});
  CHECK(backup.timeout_ms == 5'000);
  CHECK(backup.silence_ms == 1'000);
  CHECK(backup.output_bytes == 1'000);
  CHECK(backup.max_parallel == 2);
  CHECK(backup.detach);
  CHECK(backup.no_new_privileges);
  CHECK(backup.rlimits.at("nproc") == 10);
  CHECK(std::get<NamedArgument::Below>(backup.arguments.at("from").rule).directory == "/srv");
  CHECK(std::get<Pattern>(backup.arguments.at("to").rule).text() == "[a-z]+");
  CHECK(backup.arguments.at("to").summary == "where to");
  CHECK(backup.arguments.at("more").list);
  CHECK_FALSE(backup.arguments.at("more").required);
  CHECK(std::get<NamedArgument::Integer>(backup.arguments.at("mode").rule).max == 511);
  CHECK_FALSE(commands->at("other").detach);
}

TEST_CASE("a mistake in a file of commands is told with its place") {
  const auto says = [](const std::string& toml, std::string_view part) {
    const std::string sentence = exec_refusal(toml);
    INFO(sentence);
    CHECK(sentence.find(part) != std::string::npos);
  };
  says("", "e.toml: expected tables [commands.NAME]");
  says("[commands]", "e.toml: expected tables [commands.NAME]");
  says("x = 1", "e.toml.x: there is no such key");
  says("[commands", "e.toml:1: ");
  says("commands = 1", "e.toml.commands: expected a table");
  says("[commands]\nx = 1", "e.toml:2: x: expected a table");
  const std::string it = "[commands.it]\nargv = [\"/bin/true\", \"{a}\"]\n";
  says("[commands.it]\nargv = 1", "e.toml:1: it.argv: expected strings in quotes");
  says("[commands.it]\nargv = [1]", "it.argv: expected strings in quotes");
  says("[commands.it]\nargv = [\"true\"]", "it: a program is named by an absolute path");
  says(it, "it: '{a}' names an argument that is not described");
  says(it + "args.a = 1", "it.args.a: expected a table");
  says(it + "args.a = {}", "it.args.a: expected one of one_of, pattern, below, or min and max");
  says(it + "args.a = { min = 1 }", "it.args.a: expected one of");
  says(it + "args.a = { pattern = \"a\", below = \"/\" }", "it.args.a: expected one of");
  says(it + "args.a = { pattern = \"(\" }", "it.args.a.pattern: '(' is no pattern");
  says(it + "args.a = { below = \"here\" }", "it: the argument 'a' lies below an absolute path");
  says(it + "args.a = { one_of = [] }", "it: the argument 'a' has no value");
  says(it + "args.a = { pattern = \"a\", mood = 1 }", "it.args.a.mood: there is no such key");
  says(it + "mood = 1", "it.mood: there is no such key");
  says(it + "timeout_ms = 0", "it.timeout_ms: expected 1 to ");
  says(it + "timeout_ms = \"1\"", "it.timeout_ms: expected an integer");
  says(it + "on_disconnect = \"wait\"", "it.on_disconnect: expected kill or detach");
  says(it + "no_new_privileges = 1", "it.no_new_privileges: expected true or false");
  says(it + "env = { A = 1 }", "it.env.A: expected a string");
  says(it + "rlimits = { nproc = -1 }", "it.rlimits.nproc: expected 0 to ");
  says("[commands.it]\nargv = [\"/bin/true\"]\nrlimits = { mood = 1 }",
       "it: there is no rlimit 'mood'");
}
