// SPDX-License-Identifier: MIT
#include "cleave/bin/client/presets.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/settings.h"
#include "cleave/bin/client/start_options.h"
#include "cleave/bin/client/transfer.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

// A command line with the presets of a file applied.
struct Program {
  StartOptions options;
  Settings settings;
  CLI::App app;

  Program() { add_start_options(app, options, settings); }

  std::string apply(const Presets& presets, std::vector<std::string> words = {}) {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    const Result<void> done = presets.apply(app);
    return done ? "" : done.error().message;
  }
};

Presets presets_of(const std::string& toml) {
  Result<Presets> presets = Presets::parse(toml, "file.toml");
  REQUIRE_MESSAGE(presets.has_value(), presets.error().message);
  return *std::move(presets);
}

// What is wrong in a file, by its first table with an option.
std::string mistake_in(const std::string& toml) {
  Result<Presets> presets = Presets::parse(toml, "file.toml");
  if (!presets) return presets.error().message;
  Program program;
  Result<void> done = presets->check(program.app);
  if (done) done = presets->check_keys();
  return done ? "" : done.error().message;
}

class Variable {
 public:
  Variable(std::string name, const std::string& value) : name_(std::move(name)) {
    ::setenv(name_.c_str(), value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_.c_str()); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_;
};

}  // namespace

TEST_CASE("an option is what the command line says, or else the environment, a profile, defaults") {
  Presets presets = presets_of(
      "[defaults]\ntimeout = 1\nserver = 'tcp://127.0.0.1:1'\n"
      "[profiles.near]\ntimeout = 2.5\n[profiles.far]\ntimeout = 9\n");
  SUBCASE("defaults") {
    Program program;
    CHECK(program.apply(presets) == "");
    CHECK(program.settings.timeout == Millis(1'000));
    CHECK(program.settings.server == "tcp://127.0.0.1:1");
  }
  REQUIRE(presets.choose("near").has_value());
  SUBCASE("the profile") {
    Program program;
    CHECK(program.apply(presets) == "");
    CHECK(program.settings.timeout == Millis(2'500));
    CHECK(program.settings.server == "tcp://127.0.0.1:1");
  }
  const Variable variable("CLEAVE_TIMEOUT", "3");
  SUBCASE("the environment") {
    Program program;
    CHECK(program.apply(presets) == "");
    CHECK(program.settings.timeout == Millis(3'000));
  }
  SUBCASE("the command line") {
    Program program;
    CHECK(program.apply(presets, {"--timeout", "4"}) == "");
    CHECK(program.settings.timeout == Millis(4'000));
  }
}

TEST_CASE("a flag that is preset can be taken back on the command line") {
  const Presets presets = presets_of("[defaults]\njson = true\nquiet = true\n");
  Program program;
  CHECK(program.apply(presets, {"--json=false"}) == "");
  CHECK_FALSE(program.settings.json);
  CHECK(program.settings.quiet);
}

TEST_CASE("every option that holds for every command has a variable and a key that do as it does") {
  const std::vector<std::string> candidates = {
      "true", "2", "tcp://127.0.0.1:1", "UTF-8", "json", "auto", "always", "never"};
  std::size_t options = 0;
  Program program;
  for (const CLI::Option* declared : program.app.get_options()) {
    const std::string key = preset_key(*declared);
    if (key.empty()) continue;
    const std::string option = declared->get_name();
    CAPTURE(option);
    ++options;
    CHECK(key == [&] {
      std::string name = option.substr(2);
      for (char& c : name) c = c == '-' ? '_' : c;
      return name;
    }());
    bool tried = false;
    for (const std::string& value : candidates) {
      Program typed;
      try {
        typed.app.parse(std::vector<std::string>{option + "=" + value});
      } catch (const CLI::ParseError&) {
        continue;
      }
      tried = true;
      const auto expected = typed.app.get_option(option)->results();
      Program set;
      const Variable variable(preset_variable(*set.app.get_option(option)), value);
      CHECK(set.apply(Presets()) == "");
      CHECK(set.app.get_option(option)->results() == expected);
      ::unsetenv(preset_variable(*set.app.get_option(option)).c_str());

      Program filed;
      const std::string text = value == "true" ? value : "'" + value + "'";
      CHECK(filed.apply(presets_of("[defaults]\n" + key + " = " + text + "\n")) == "");
      CHECK(filed.app.get_option(option)->results() == expected);
      break;
    }
    CHECK(tried);
  }
  CHECK(options >= 5);
}

TEST_CASE("options of transfers alone can be preset where that makes sense") {
  CLI::App app;
  app.option_defaults()->configurable(false);
  TransferOptions options;
  add_transfer_options(app, options);
  app.parse(std::vector<std::string>{});
  const Presets presets = presets_of("[defaults]\nparallel = 3\nrecursive = true\n");
  CHECK(presets.apply(app).has_value());
  CHECK(options.connections == 3);
  CHECK_FALSE(options.recursive);
}

TEST_CASE("a mistake in a file names its line, in a profile that is not used as well") {
  const auto at_line_3 = [](const std::string& line) {
    return mistake_in("[profiles.other]\n\n" + line + "\n");
  };
  CHECK(at_line_3("nothing = 1") == "file.toml:3: nothing: there is no such key");
  CHECK(at_line_3("profile = 'x'") == "file.toml:3: profile: there is no such key");
  CHECK(at_line_3("json = 1") == "file.toml:3: json: expected true or false");
  CHECK(at_line_3("json = 'yes'") == "file.toml:3: json: expected true or false");
  CHECK(at_line_3("timeout = true") == "file.toml:3: timeout: expected a value, got true");
  CHECK(at_line_3("timeout = -1").starts_with("file.toml:3: timeout: "));
  CHECK(at_line_3("timeout = nan").starts_with("file.toml:3: timeout: "));
  CHECK(at_line_3("timeout = [1]").starts_with("file.toml:3: timeout: expected a string"));
  CHECK(at_line_3("timeout = 1979-05-27").starts_with("file.toml:3: timeout: expected a string"));
  CHECK(at_line_3("server = 5").starts_with("file.toml:3: server: "));
  CHECK(at_line_3("server = 'fd:3'").starts_with("file.toml:3: server: "));
  CHECK(at_line_3("server = ").starts_with("file.toml:3: "));
  CHECK(at_line_3("timeout = 1\n[defaults.x]").starts_with("file.toml:4: x: "));
  CHECK(mistake_in("timeout = 1").starts_with("file.toml:1: timeout: expected [defaults]"));
  CHECK(mistake_in("[profiles]\nx = 1") == "file.toml:2: x: expected a table");
  CHECK(mistake_in("profiles = 1").starts_with("file.toml:1: profiles: expected"));
  CHECK(mistake_in("") == "");
}

TEST_CASE("a wrong value in the environment names the variable") {
  for (const auto& [name, value] : {std::pair("CLEAVE_TIMEOUT", "soon"),
                                    {"CLEAVE_JSON", "perhaps"},
                                    {"CLEAVE_SERVER", "http://127.0.0.1"}}) {
    const Variable variable(name, value);
    Program program;
    CHECK(program.apply(Presets()).starts_with(name + std::string(": ")));
  }
  const Variable empty("CLEAVE_TIMEOUT", "");
  Program program;
  CHECK(program.apply(Presets()) == "");
}

TEST_CASE("a profile that there is none of names those that there are") {
  Presets presets = presets_of("[profiles.b]\n[profiles.a]\n");
  const Result<void> chosen = presets.choose("c");
  REQUIRE_FALSE(chosen.has_value());
  CHECK(chosen.error().message == "there is no profile 'c' in file.toml; there are: a, b");
  CHECK(Presets().choose("c").error().message ==
        "there is no profile 'c', as there is no file of them");
}

TEST_CASE("the user's file is where the environment says") {
  const Variable home("HOME", "/home/a");
  ::unsetenv("XDG_CONFIG_HOME");
  CHECK(preset_file().name == "/home/a/.config/cleave/config.toml");
  CHECK_FALSE(preset_file().chosen);
  {
    const Variable relative("XDG_CONFIG_HOME", "a");
    CHECK(preset_file().name == "/home/a/.config/cleave/config.toml");
  }
  {
    const Variable folder("XDG_CONFIG_HOME", "/etc/a");
    CHECK(preset_file().name == "/etc/a/cleave/config.toml");
  }
  for (const char* nowhere : {"", "a"}) {
    const Variable no_home("HOME", nowhere);
    CHECK(preset_file().name == "");
  }
  const Variable named("CLEAVE_CONFIG", "");
  CHECK(preset_file().name == "");
}

TEST_CASE(
    "a file that others can write is refused, and one that is not there only if it is named") {
  std::string name = "/tmp/cleave-presets-XXXXXX";
  const int fd = ::mkstemp(name.data());
  REQUIRE(fd >= 0);
  ::close(fd);
  std::ofstream(name) << "[defaults]\njson = true\n";
  CHECK_FALSE(Presets::load({.name = name}).value().empty());
  for (const mode_t mode : {0620U, 0602U}) {
    REQUIRE(::chmod(name.c_str(), mode) == 0);
    const Result<Presets> loaded = Presets::load({.name = name});
    REQUIRE_FALSE(loaded.has_value());
    CHECK(
        loaded.error().message.starts_with(name + ": expected a file that nobody else can write"));
  }
  ::unlink(name.c_str());
  CHECK(Presets::load({.name = name}).value().empty());
  CHECK_FALSE(Presets::load({.name = name, .chosen = true}).has_value());
  CHECK(Presets::load({.name = "", .chosen = true}).value().empty());
  CHECK(Presets::load({.name = "/dev/null", .chosen = true}).value().empty());
}
