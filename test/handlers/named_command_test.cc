// SPDX-License-Identifier: MIT
#include "cleave/handlers/named_command.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

// The command line for the arguments `json`, an object.
Result<Words> line_of(const NamedCommand& command, const std::string& json) {
  HeaderParser parser;
  const Ref<const Header> header = parser.parse(R"({"args":)" + json + "}").value();
  Result<NamedProcess> named = process_of(command, header->find("args"), std::nullopt);
  if (!named) return fail(named.error());
  Result<ProcessOptions> process = complete(command, *std::move(named));
  if (!process) return fail(process.error());
  return process->argv;
}

Errc refusal_of(const NamedCommand& command, const std::string& json) {
  const Result<Words> line = line_of(command, json);
  REQUIRE_FALSE(line);
  return line.error().code;
}

NamedArgument pattern(const std::string& text) {
  return {.rule = Pattern::compile(text).value()};
}

std::string wrong(const NamedCommand& command) {
  const Result<void> checked = check_command(command);
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == Errc::invalid_argument);
  return checked.error().message;
}

}  // namespace

TEST_CASE("arguments take their places in the template, each as one word") {
  NamedCommand command{
      .argv = {"/bin/x", "--to={to}", "{to}", "a{{b}", "{from}-{to}"},
      .arguments = {{"to", pattern(".*")}, {"from", {.rule = NamedArgument::Integer{1, 9}}}}};
  REQUIRE(check_command(command));
  CHECK(line_of(command, R"({"to":"a b;$(c)`d`\n\"'","from":3})").value() ==
        Words{"/bin/x", "--to=a b;$(c)`d`\n\"'", "a b;$(c)`d`\n\"'", "a{b}", "3-a b;$(c)`d`\n\"'"});
  // What an argument holds is not read as a template.
  CHECK(line_of(command, R"({"to":"{from}","from":3})").value()[2] == "{from}");
}

TEST_CASE("a list becomes a word for each of its values") {
  NamedCommand command{
      .argv = {"/bin/x", "{files...}", "end"},
      .arguments = {
          {"files",
           {.rule = Pattern::compile("[a-z]+").value(), .required = false, .list = true}}}};
  REQUIRE(check_command(command));
  CHECK(line_of(command, R"({"files":["a","b"]})").value() == Words{"/bin/x", "a", "b", "end"});
  CHECK(line_of(command, R"({"files":"a"})").value() == Words{"/bin/x", "a", "end"});
  CHECK(line_of(command, R"({"files":[]})").value() == Words{"/bin/x", "end"});
  CHECK(line_of(command, "{}").value() == Words{"/bin/x", "end"});
  CHECK(refusal_of(command, R"({"files":["a","B"]})") == Errc::invalid_argument);
}

TEST_CASE("a word with an argument that is not given is left out") {
  NamedArgument optional = pattern(".*");
  optional.required = false;
  NamedCommand command{.argv = {"/bin/x", "--level={level}", "{name}"},
                       .arguments = {{"level", optional}, {"name", pattern(".*")}}};
  REQUIRE(check_command(command));
  CHECK(line_of(command, R"({"name":"n"})").value() == Words{"/bin/x", "n"});
  CHECK(line_of(command, R"({"name":"n","level":""})").value() == Words{"/bin/x", "--level=", "n"});
  CHECK(refusal_of(command, R"({"level":"1"})") == Errc::invalid_argument);
}

TEST_CASE("a value is what its rule says, and as a whole") {
  NamedCommand command{.argv = {"/bin/x", "{a}"}};
  const auto refuses = [&](NamedArgument rule, const char* value) {
    command.arguments = {{"a", std::move(rule)}};
    REQUIRE(check_command(command));
    return !line_of(command, std::string(R"({"a":)") + value + "}");
  };
  const NamedArgument word = pattern("[a-z]+|x");
  CHECK_FALSE(refuses(word, R"("abc")"));
  for (const char* value : {R"("")", R"("abc1")", R"("1abc")", R"("abc\n")", R"("x\ny")", "1",
                            "true", "null", R"(["abc"])", R"({"b":1})"}) {
    CAPTURE(value);
    CHECK(refuses(word, value));
  }
  const NamedArgument number{.rule = NamedArgument::Integer{-5, 5}};
  CHECK_FALSE(refuses(number, "-5"));
  for (const char* value : {"6", "-6", "1.0", "1e0", R"("1")", "9223372036854775808"}) {
    CAPTURE(value);
    CHECK(refuses(number, value));
  }
  const NamedArgument choice{.rule = NamedArgument::OneOf{"on", "-off"}};
  CHECK_FALSE(refuses(choice, R"("-off")"));
  CHECK(refuses(choice, R"("o")"));
  CHECK(refuses(pattern(".*"), R"("a\u0000b")"));
  CHECK(refuses(pattern(".*"), ('"' + std::string(4'097, 'a') + '"').c_str()));
  CHECK_FALSE(refuses(pattern(".*"), ('"' + std::string(4'096, 'a') + '"').c_str()));
}

TEST_CASE("a number is text where text is wanted") {
  NamedCommand command{.argv = {"/bin/x", "{a}"}, .arguments = {{"a", pattern("[0-9.e]+")}}};
  CHECK(line_of(command, R"({"a":1.50e3})").value().back() == "1.50e3");
  CHECK(refusal_of(command, R"({"a":-1})") == Errc::invalid_argument);
}

TEST_CASE("a value does not become an option, unless that was meant") {
  NamedCommand command{.argv = {"/bin/x", "{a}"}, .arguments = {{"a", pattern(".*")}}};
  CHECK(refusal_of(command, R"({"a":"--output=/etc/passwd"})") == Errc::invalid_argument);
  CHECK(refusal_of(command, R"({"a":"-"})") == Errc::invalid_argument);
  command.arguments.begin()->second.may_begin_with_dash = true;
  CHECK(line_of(command, R"({"a":"-v"})").value().back() == "-v");
}

TEST_CASE("an argument that nobody described is refused") {
  const NamedCommand command{.argv = {"/bin/x"}};
  CHECK(refusal_of(command, R"({"a":1})") == Errc::invalid_argument);
  CHECK(line_of(command, "{}"));
}

TEST_CASE("a path stays below its directory") {
  const ScratchDirectory outside;
  make_file(outside / "secret", "");
  const ScratchDirectory root;
  make_file(root / "d/f", "");
  fs::create_symlink(outside.string(), root / "out");
  fs::create_symlink(outside / "secret", root / "d/link");
  NamedCommand command{.argv = {"/bin/x", "{p}"},
                       .arguments = {{"p", {.rule = NamedArgument::Below{root.string()}}}}};
  REQUIRE(check_command(command));
  CHECK(line_of(command, R"({"p":"d/f"})").value().back() == root.string() + "/d/f");
  CHECK(line_of(command, R"({"p":"new"})"));
  CHECK(line_of(command, R"({"p":"new/also"})"));
  for (const char* path : {"", "..", "../x", "/etc/passwd", "d/../..", "d//f", "d/", "a\\nb"}) {
    CAPTURE(path);
    CHECK(refusal_of(command, std::string(R"({"p":")") + path + R"("})") == Errc::invalid_argument);
  }
  CHECK(refusal_of(command, R"({"p":"out/secret"})") == Errc::permission_denied);
  CHECK(refusal_of(command, R"({"p":"d/link"})") == Errc::permission_denied);
}

TEST_CASE("a client sets the variables that it may set") {
  const NamedCommand command{.argv = {"/bin/x"}, .env = {{"FIXED", "1"}}, .client_env = {"TZ"}};
  HeaderParser parser;
  const auto env = [&](const std::string& json) {
    const Ref<const Header> header = parser.parse(R"({"env":)" + json + "}").value();
    return process_of(command, std::nullopt, header->find("env"));
  };
  const Words lines = complete(command, env(R"({"TZ":"UTC"})").value())->env;
  CHECK(std::find(lines.begin(), lines.end(), "TZ=UTC") != lines.end());
  CHECK(std::find(lines.begin(), lines.end(), "FIXED=1") != lines.end());
  CHECK(env(R"({"LD_PRELOAD":"/x"})").error().code == Errc::permission_denied);
  CHECK(env(R"({"FIXED":"2"})").error().code == Errc::permission_denied);
  CHECK(env(R"({"TZ":1})").error().code == Errc::invalid_argument);
}

TEST_CASE("what runs a program stands in front of it") {
  NamedCommand command{.argv = {"/bin/true"},
                       .runner = {"/usr/bin/env", "--"},
                       .no_new_privileges = true,
                       .rlimits = {{"nproc", 10}, {"core", 0}}};
  REQUIRE(check_command(command));
  CHECK(line_of(command, "{}").value() == Words{"/usr/bin/prlimit", "--core=0:0", "--nproc=10:10",
                                                "--", "/usr/bin/setpriv", "--no-new-privs", "--",
                                                "/usr/bin/env", "--", "/bin/true"});
  CHECK(complete(command, process_of(command, std::nullopt, std::nullopt).value())->argv.size() ==
        10);
  command.runner.clear();
  command.argv = {"/nowhere/program"};
  CHECK(refusal_of(command, "{}") == Errc::not_found);
}

TEST_CASE("a command that cannot work is refused before it is offered") {
  const NamedArgument any = pattern(".*");
  CHECK(wrong({}).find("argv is empty") != std::string::npos);
  CHECK(wrong({.argv = {"ls"}}).find("absolute") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .runner = {"env"}}).find("absolute") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .cwd = "here"}).find("cwd") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls", "{a}"}}).find("not described") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls", "{a"}}).find("without its '}'") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .arguments = {{"a", any}}}).find("does not have") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls", "x{a...}"}, .arguments = {{"a", any}}}).find("by itself") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls", "{a...}"}, .arguments = {{"a", any}}}).find("no list") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls", "{a}"}, .arguments = {{"a", {}}}}).find("no value") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .rlimits = {{"mood", 1}}}).find("no rlimit") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .user = "nobody-of-that-name"}).find("user") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .group = "no-such-group"}).find("group") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .runner = {"/nowhere/runner"}}).find("/nowhere/runner") !=
        std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls"}, .env = {{"A=B", "c"}}}).find("variable") != std::string::npos);
  CHECK(wrong({.argv = {"/bin/ls", "{n}"},
               .arguments = {{"n", {.rule = NamedArgument::Integer{2, 1}}}}})
            .find("above its max") != std::string::npos);
  CHECK_FALSE(Pattern::compile("(a"));
}

TEST_CASE("a pattern is matched by the whole text, whatever its brackets and bars are") {
  const auto matches = [](const char* pattern, const char* text) {
    return Pattern::compile(pattern)->matches(text);
  };
  CHECK(matches("a|ab", "ab"));
  CHECK_FALSE(matches("a|b", "ab"));
  CHECK_FALSE(matches("b", "ab"));
  CHECK(matches("(a|b)\\1", "aa"));
  CHECK_FALSE(matches("(a|b)\\1", "ab"));
  CHECK_FALSE(matches("[a-z]+", "ab\ncd"));
  CHECK_FALSE(Pattern::compile("a)|(b"));
}

TEST_CASE("variables are set behind a change of the user, who is not yet it in front") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root's rights");
    return;
  }
  NamedCommand command{.argv = {"/bin/true"},
                       .runner = {"/usr/bin/nice"},
                       .env = {{"LD_LIBRARY_PATH", "/opt/x"}},
                       .user = "nobody"};
  REQUIRE(check_command(command));
  const ProcessOptions process =
      complete(command, process_of(command, std::nullopt, std::nullopt).value()).value();
  CHECK(process.argv.front() == "/usr/bin/setpriv");
  const auto set = std::ranges::find(process.argv, "/usr/bin/env");
  REQUIRE(set != process.argv.end());
  CHECK(std::ranges::find(set, process.argv.end(), "LD_LIBRARY_PATH=/opt/x") != process.argv.end());
  CHECK(std::ranges::find(set, process.argv.end(), "USER=nobody") != process.argv.end());
  CHECK(Words(process.argv.end() - 2, process.argv.end()) == Words{"/usr/bin/nice", "/bin/true"});
  for (const std::string& line : process.env) CHECK_FALSE(line.starts_with("LD_"));
}
