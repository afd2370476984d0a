// SPDX-License-Identifier: MIT
#include "cleave/bin/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

using namespace cleave;

namespace {

Result<CommandLine> command_line(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "cleaved");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

Result<Config> configured(std::vector<const char*> arguments) {
  return command_line(std::move(arguments)).and_then(load_config);
}

// The sentences that a file and a command line are refused with.
std::string refusal(std::string_view toml) {
  const auto config = parse_config(toml, "c.toml");
  REQUIRE_FALSE(config.has_value());
  CHECK(config.error().code == Errc::invalid_argument);
  return config.error().message;
}
std::string refused(std::vector<const char*> arguments) {
  const auto config = configured(std::move(arguments));
  REQUIRE_FALSE(config.has_value());
  return config.error().message;
}
bool says(const std::string& sentence, std::string_view part) {
  INFO(sentence);
  INFO(part);
  return sentence.find(part) != std::string::npos;
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    const int fd = ::mkstemp(name_.data());
    REQUIRE(fd >= 0);
    ::close(fd);
    std::ofstream(name_) << text;
  }
  ~TemporaryFile() { ::unlink(name_.c_str()); }
  const char* name() const { return name_.c_str(); }

 private:
  std::string name_ = "/tmp/cleave-config-test-XXXXXX";
};

}  // namespace

TEST_CASE("without arguments cleaved serves loopback, keeps files and runs nothing") {
  const auto config = configured({});
  REQUIRE(config);
  CHECK(config->listen.empty());
  CHECK(kDefaultListen == "tcp://127.0.0.1:8080");
  CHECK(config->root == "./file_upload");
  CHECK(config->exec.mode == ExecMode::off);
  CHECK(config->store.durability == Durability::full);
  CHECK(config->log_format == LogFormat::text);
  CHECK(config->log_level == LogLevel::info);
  CHECK(config->limits.header_bytes == Limits().header_bytes);
}

TEST_CASE("every option has its key") {
  const auto by_option = configured({"--listen", "tcp://127.0.0.1:1", "--listen", "tcp://0.0.0.0:2",
                                     "--root", "/r", "--exec", "shell", "--durability", "data",
                                     "--insecure", "--log-format", "json", "--log-level", "debug"});
  const auto by_key = parse_config(R"(
      listen = ["tcp://127.0.0.1:1", "tcp://0.0.0.0:2"]
      root = "/r"
      exec = "shell"
      durability = "data"
      insecure = true
      log_format = "json"
      log_level = "debug")",
                                   "c.toml");
  REQUIRE(by_option);
  REQUIRE(by_key);
  for (const Config& config : {*by_option, *by_key}) {
    CHECK(config.listen == std::vector<std::string>{"tcp://127.0.0.1:1", "tcp://0.0.0.0:2"});
    CHECK(config.root == "/r");
    CHECK(config.exec.mode == ExecMode::shell);
    CHECK(config.store.durability == Durability::data);
    CHECK(config.insecure);
    CHECK(config.log_format == LogFormat::json);
    CHECK(config.log_level == LogLevel::debug);
  }
}

TEST_CASE("every limit is a key of [limits], up to both ends of its range") {
  const auto check = [](const auto& table, auto of) {
    for (const auto& limit : table) {
      for (const std::uint64_t value : {limit.min, limit.max}) {
        const std::string toml = "[limits]\n" + std::string(limit.name) + " = ";
        const auto config = parse_config(toml + std::to_string(value), "c.toml");
        REQUIRE_MESSAGE(config.has_value(), limit.name);
        CHECK(of(*config).*(limit.field) == value);
      }
    }
  };
  check(limit_table(), [](const Config& config) { return config.limits; });
  check(exec_limit_table(), [](const Config& config) { return config.exec; });
  check(store_limit_table(), [](const Config& config) { return config.store.limits; });
}

TEST_CASE("a limit beyond its range is refused with the line, the name and the range") {
  const auto check = [](const auto& table) {
    for (const auto& limit : table) {
      const std::string name(limit.name);
      const std::string range =
          "expected " + std::to_string(limit.min) + " to " + std::to_string(limit.max);
      const std::string toml = "[limits]\n" + name + " = ";
      CHECK(
          says(refusal(toml + std::to_string(limit.max + 1)), "c.toml:2: " + name + ": " + range));
      CHECK(says(refusal(toml + "-1"), range));
      CHECK(says(refusal(toml + "1.5"), "expected an integer"));
      CHECK(says(refusal(toml + "\"1\""), "expected an integer"));
      CHECK(says(refusal(toml + "true"), "expected an integer"));
    }
  };
  check(limit_table());
  check(exec_limit_table());
  check(store_limit_table());
}

TEST_CASE("the page of the programs has every limit with its default and its range") {
  std::ifstream file("bin/README.md");
  const std::string page(std::istreambuf_iterator<char>(file), {});
  // 1,048,576, as people read it.
  const auto grouped = [](std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
    return text;
  };
  const auto check = [&](const auto& table, const auto& defaults) {
    for (const auto& limit : table) {
      CHECK(says(page, "| `" + std::string(limit.name) + "` | " + grouped(defaults.*(limit.field)) +
                           " | " + grouped(limit.min) + " to " + grouped(limit.max) + " |"));
    }
  };
  check(limit_table(), Limits());
  check(exec_limit_table(), ExecOptions());
  check(store_limit_table(), StoreLimits());
}

TEST_CASE("an unknown key is refused with its line") {
  CHECK(says(refusal("root = '/r'\nlissten = []"), "c.toml:2: lissten: there is no such key"));
  CHECK(says(refusal("[limits]\n\nheader = 1"), "c.toml:3: header: there is no such limit"));
  CHECK(says(refusal("[server]\nroot = '/r'"), "c.toml:1: server: there is no such key"));
}

TEST_CASE("a value of the wrong kind is refused with what was expected") {
  CHECK(says(refusal("listen = 'tcp://127.0.0.1:1'"), "c.toml:1: listen: expected at least one"));
  CHECK(says(refusal("listen = []"), "expected at least one"));
  CHECK(says(refusal("listen = [1]"), "expected a string"));
  CHECK(says(refusal("root = 1"), "c.toml:1: root: expected a string"));
  CHECK(says(refusal("root = ''"), "expected the name of a folder"));
  CHECK(says(refusal("insecure = 'yes'"), "expected true or false"));
  CHECK(says(refusal("log_level = 'loud'"), "expected one of debug, info, warning, error, off"));
  CHECK(says(refusal("log_format = 'xml'"), "expected one of text, json, got 'xml'"));
  CHECK(says(refusal("limits = 1"), "expected a table"));
}

TEST_CASE("what is not TOML is refused with its line") {
  CHECK(says(refusal("root = '/r'\nroot = '/s'"), "c.toml:2: "));
  CHECK(says(refusal("= 1"), "c.toml:1: "));
  CHECK(says(refusal(std::string_view("root = '\xff'")), "c.toml:1: "));
}

TEST_CASE("an allow list for exec is refused as not built yet") {
  CHECK(says(refused({"--exec", "/etc/allowed.toml"}), "--exec: expected off or shell"));
  CHECK(says(refused({"--exec", "/etc/allowed.toml"}), "not built yet"));
  CHECK(says(refusal("exec = '/etc/allowed.toml'"), "c.toml:1: exec: expected off or shell"));
}

TEST_CASE("options override the keys of the file") {
  const TemporaryFile file("root = '/from-file'\nlog_level = 'off'\n[limits]\nmax_in_flight = 7");
  const auto config = configured({"--config", file.name(), "--root", "/from-option"});
  REQUIRE(config);
  CHECK(config->root == "/from-option");
  CHECK(config->log_level == LogLevel::off);
  CHECK(config->limits.max_in_flight == 7);
}

TEST_CASE("a file that cannot be read is refused with the system's reason") {
  CHECK(says(refused({"--config", "/nowhere/c.toml"}), "/nowhere/c.toml: cannot be read: No such"));
  CHECK(says(refused({"--config", "/"}), "/: cannot be read: Is a directory"));
  CHECK(says(refused({"--config", "/dev/zero"}), "expected at most"));
}

TEST_CASE("a listener off loopback needs --insecure") {
  CHECK(says(refused({"--listen", "tcp://0.0.0.0:8080"}), "write files; give --insecure"));
  CHECK(says(refused({"--listen", "tcp://[::]:0", "--exec", "shell"}), "run any program"));
  CHECK(configured({"--listen", "tcp://0.0.0.0:8080", "--insecure"}));
  CHECK(says(refused({"--listen", "udp://0.0.0.0:9000?wire=raw&cmd=upper"}), "--insecure"));
  CHECK(configured({"--listen", "tcp://[::1]:8080", "--exec", "shell"}));
  CHECK(says(refused({"--listen", "udp://0.0.0.0:0?wire=raw&cmd=upper", "--exec", "shell"}),
             "answer each other for ever; give --insecure"));
  CHECK(says(refused({"--listen", "udp://[::]:0"}), "send its answers to others; give --insecure"));
  CHECK(configured({"--listen", "udp://0.0.0.0:0?wire=raw&cmd=upper", "--insecure"}));
  CHECK(configured({"--listen", "udp://127.0.0.1:0?wire=raw&cmd=upper"}));
  CHECK(configured({"--listen", "unix:/run/cleave.sock", "--exec", "shell"}));
}

TEST_CASE("where an inherited socket is shows later, and it is judged then") {
  CHECK(configured({"--listen", "fd:web"}));
  Config config;
  Endpoint found = Endpoint::parse("tcp://0.0.0.0:80").value();
  const auto refusal = check_reach(found, config);
  REQUIRE_FALSE(refusal.has_value());
  CHECK(refusal.error().code == Errc::invalid_argument);
  config.insecure = true;
  CHECK(check_reach(found, config));
  found.host = "127.0.0.1";
  config.insecure = false;
  CHECK(check_reach(found, config));
}

TEST_CASE("a program must be ended before the request that runs it is") {
  TemporaryFile file("[limits]\ncancel_grace_ms = 2_500\n");
  CHECK(configured({"--config", file.name()}));
  CHECK(says(refused({"--config", file.name(), "--exec", "shell"}), "below cancel_grace_ms"));
}

TEST_CASE("one listener that cannot be used refuses the whole configuration") {
  CHECK(says(refused({"--listen", "tcp://127.0.0.1:0", "--listen", "udp://127.0.0.1"}),
             "listen: 'udp://127.0.0.1': expected a port behind the host"));
  CHECK(says(refused({"--listen", "8080"}), "listen: '8080': expected tcp://HOST:PORT"));
}

TEST_CASE("a wrong command line is refused in one sentence") {
  for (const auto& arguments : std::vector<std::vector<const char*>>{
           {"--nonsense"}, {"stray"}, {"--root"}, {"--listen"}, {"--root", "a", "--root", "b"}}) {
    const std::string sentence = refused(arguments);
    CHECK(says(sentence, "cleaved --help"));
    CHECK(sentence.find('\n') == std::string::npos);
  }
}

TEST_CASE("--help names every option and --version the version") {
  const auto help = command_line({"--help"});
  REQUIRE(help);
  for (const char* option : {"--config", "--listen", "--root", "--exec", "--insecure", "--check",
                             "--log-format", "--log-level", "--help", "--version"}) {
    CHECK(says(help->print, option));
  }
  CHECK(command_line({"--version"}).value().print.starts_with("cleaved 0."));
}

TEST_CASE("what a reload cannot change is named") {
  const Config running;
  CHECK(restart_keys(running, running).empty());
  Config wanted;
  wanted.listen = {"tcp://127.0.0.1:1"};
  wanted.root = "/r";
  wanted.exec.mode = ExecMode::shell;
  wanted.exec.exec_max_running = 1;
  wanted.insecure = true;
  wanted.log_format = LogFormat::json;
  CHECK(restart_keys(running, wanted) == std::vector<std::string_view>{"listen", "root", "exec",
                                                                       "insecure", "log_format",
                                                                       "exec_max_running"});
}

TEST_CASE("a reload changes limits and the log's level") {
  const Config running;
  Config wanted;
  wanted.limits.max_in_flight = 1;
  wanted.log_level = LogLevel::debug;
  CHECK(restart_keys(running, wanted).empty());
}
