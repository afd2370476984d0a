// SPDX-License-Identifier: MIT
#include "cleave/bin/config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "cleave/bin/exec_file.h"
#include "cleave/bin/man_page.h"
#include "cleave/bin/toml_file.h"
#include "cleave/core/endpoint.h"

namespace cleave {
inline namespace v0 {
namespace {

tl::unexpected<Error> refuse(std::string sentence) {
  return fail(Errc::invalid_argument, std::move(sentence));
}

// ---- Values: the same words in the file and on the command line ---------------------------------

template <typename T, std::size_t size>
using Words = std::array<std::pair<std::string_view, T>, size>;

constexpr Words<LogFormat, 2> kFormats = {{{"text", LogFormat::text}, {"json", LogFormat::json}}};
constexpr Words<LogLevel, 5> kLevels = {{{"debug", LogLevel::debug},
                                         {"info", LogLevel::info},
                                         {"warning", LogLevel::warning},
                                         {"error", LogLevel::error},
                                         {"off", LogLevel::off}}};

constexpr Words<Durability, 3> kDurabilities = {
    {{"none", Durability::none}, {"data", Durability::data}, {"full", Durability::full}}};

template <typename T, std::size_t size>
Result<T> one_of(const Words<T, size>& words, std::string_view text) {
  std::string expected;
  for (const auto& [word, value] : words) {
    if (word == text) return value;
    expected.append(expected.empty() ? "" : ", ").append(word);
  }
  return refuse("expected one of " + expected + ", got '" + std::string(text) + "'");
}

// A mode, or the name of a file with commands, which is read when the configuration is whole.
Result<void> set_exec(Config& config, const Result<std::string>& text, const std::string& place) {
  if (!text) return refuse(place + ": " + text.error().message);
  if (text->empty()) return refuse(place + ": expected off, shell or a file, got an empty name");
  config.exec.mode = *text == "off"     ? ExecMode::off
                     : *text == "shell" ? ExecMode::shell
                                        : ExecMode::named;
  config.exec_file = config.exec.mode == ExecMode::named ? *text : std::string();
  return {};
}

Result<std::string> folder(std::string text) {
  if (text.empty()) return refuse("expected the name of a folder, got an empty one");
  if (text.find('\0') != std::string::npos) return refuse("expected a name without a NUL");
  return text;
}

// Puts a value where it belongs, or the place in front of the sentence that came instead.
template <typename T>
Result<void> set(T& target, Result<T> value, const std::string& place) {
  if (!value) return refuse(place + ": " + value.error().message);
  target = *std::move(value);
  return {};
}

// ---- The file -----------------------------------------------------------------------------------

Result<std::string> string_from(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  return refuse("expected a string in quotes");
}

Result<bool> boolean_from(const toml::node& node) {
  if (const auto value = node.value_exact<bool>()) return *value;
  return refuse("expected true or false");
}

Result<std::vector<std::string>> strings_from(const toml::node& node) {
  const toml::array* const array = node.as_array();
  if (array == nullptr || array->empty()) {
    return refuse("expected at least one string in quotes, in brackets");
  }
  std::vector<std::string> strings;
  for (const toml::node& element : *array) {
    Result<std::string> text = string_from(element);
    if (!text) return fail(text.error());
    strings.push_back(*std::move(text));
  }
  return strings;
}

// Takes the value if the limit is one of this table; false if it is not.
template <typename Options>
Result<bool> read_limit(std::span<const LimitOf<Options>> table, const toml::key& key,
                        const toml::node& node, Options& options) {
  const auto limit = std::ranges::find(table, key.str(), &LimitOf<Options>::name);
  if (limit == table.end()) return false;
  const auto value = node.value_exact<std::int64_t>();
  if (!value) return refuse("expected an integer");
  if (*value < 0 || static_cast<std::uint64_t>(*value) < limit->min ||
      static_cast<std::uint64_t>(*value) > limit->max) {
    return refuse("expected " + std::to_string(limit->min) + " to " + std::to_string(limit->max) +
                  ", got " + std::to_string(*value));
  }
  options.*(limit->field) = static_cast<std::uint64_t>(*value);
  return true;
}

Result<void> read_limits(const toml::node& node, const std::string& name, const std::string& place,
                         Config& config) {
  const toml::table* const table = node.as_table();
  if (table == nullptr) return refuse(place + ": expected a table, [limits]");
  for (const auto& [key, value] : *table) {
    Result<bool> found = read_limit(limit_table(), key, value, config.limits);
    if (found && !*found) found = read_limit(exec_limit_table(), key, value, config.exec.limits);
    if (found && !*found) found = read_limit(store_limit_table(), key, value, config.store.limits);
    if (!found) return refuse(place_of(name, key) + ": " + found.error().message);
    if (!*found) return refuse(place_of(name, key) + ": there is no such limit");
  }
  return {};
}

Result<void> read_key(const toml::key& key, const toml::node& node, const std::string& name,
                      Config& config) {
  const std::string place = place_of(name, key);
  const auto word = [&node](auto parse) {
    return string_from(node).and_then([&](const std::string& text) { return parse(text); });
  };
  if (key == "listen") return set(config.listen, strings_from(node), place);
  if (key == "root") return set(config.root, word(folder), place);
  if (key == "exec") return set_exec(config, string_from(node), place);
  if (key == "exec_cgroup") return set(config.exec_cgroup, string_from(node), place);
  if (key == "durability") {
    return set(config.store.durability,
               word([](const std::string& text) { return one_of(kDurabilities, text); }), place);
  }
  if (key == "insecure") return set(config.insecure, boolean_from(node), place);
  if (key == "log_format") {
    return set(config.log_format,
               word([](const std::string& text) { return one_of(kFormats, text); }), place);
  }
  if (key == "log_level") {
    return set(config.log_level,
               word([](const std::string& text) { return one_of(kLevels, text); }), place);
  }
  if (key == "limits") return read_limits(node, name, place, config);
  return refuse(place + ": there is no such key");
}

// ---- The whole ----------------------------------------------------------------------------------

Result<void> apply(const CommandLine& options, Config& config) {
  const auto over = [](auto& target, const auto& text, auto parse, const char* option) {
    return text ? set(target, parse(*text), option) : Result<void>();
  };
  if (!options.listen.empty()) config.listen = options.listen;
  if (options.insecure) config.insecure = true;
  if (auto done = over(config.root, options.root, folder, "--root"); !done) return done;
  if (options.exec) {
    if (auto done = set_exec(config, *options.exec, "--exec"); !done) return done;
  }
  if (auto done = over(config.exec_cgroup, options.exec_cgroup, folder, "--exec-cgroup"); !done) {
    return done;
  }
  const auto durability = [](const std::string& text) { return one_of(kDurabilities, text); };
  if (auto done = over(config.store.durability, options.durability, durability, "--durability");
      !done) {
    return done;
  }
  const auto format = [](const std::string& text) { return one_of(kFormats, text); };
  const auto level = [](const std::string& text) { return one_of(kLevels, text); };
  if (auto done = over(config.log_format, options.log_format, format, "--log-format"); !done) {
    return done;
  }
  return over(config.log_level, options.log_level, level, "--log-level");
}

Result<void> read_commands(Config& config) {
  if (config.exec.mode != ExecMode::named) return {};
  const Result<std::string> text = read_text_file(config.exec_file);
  if (!text) return refuse("exec: expected off, shell or a file; " + text.error().message);
  Result<NamedCommands> commands = parse_exec_file(*text, config.exec_file);
  if (!commands) return fail(std::move(commands.error()));
  config.exec.commands = *std::move(commands);
  config.exec_text = *text;
  return {};
}

// What whoever reaches a listener could do: there is no authentication yet. Datagrams neither run
// nor store anything, but their senders' addresses are easily forged.
std::string danger_of(const Endpoint& endpoint, const Config& config) {
  if (!endpoint.is_datagram()) {
    return std::string("whoever reaches it could ") +
           (config.exec.mode == ExecMode::shell ? "run any program" : "write files");
  }
  if (endpoint.wire == Wire::frame) return "whoever reaches it could send its answers to others";
  return "it and another server of raw datagrams could be made to answer each other for ever";
}

Result<void> check_listeners(const Config& config) {
  for (const std::string& url : config.listen) {
    const Result<Endpoint> endpoint = Endpoint::parse(url);
    if (!endpoint) return refuse("listen: " + endpoint.error().message);
    if (endpoint->cmd == "exec" && config.exec.mode != ExecMode::shell) {
      return refuse("listen: '" + url + "' is for lines of a shell, and exec is " +
                    (config.exec.mode == ExecMode::off ? "off" : "for named commands alone") +
                    "; --exec shell switches them on");
    }
    // Where an inherited socket is shows when it is there; see ListenerRule.
    if (endpoint->transport == Endpoint::Transport::inherited) continue;
    if (auto allowed = check_reach(*endpoint, config); !allowed) return allowed;
  }
  return {};
}

// ---- What is told of the program
// ------------------------------------------------------------------

const cli::Manual& manual() {
  static const cli::Manual manual = {
      .name = "cleaved",
      .usage = "[OPTIONS]",
      .summary = "serves files, programs and text to Cleave's clients",
      .about =
          "Without options it listens on tcp://127.0.0.1:8080, keeps files under ./file_upload, "
          "and "
          "runs no programs. When it serves, standard output has a line for each listener and then "
          "ready; the log goes to standard error."};
  return manual;
}

std::string man_page_of(const CLI::App& app) {
  std::vector<cli::TermList> lists = cli::terms_of(app);
  lists.push_back(
      {"Signals",
       {{"SIGTERM, SIGINT", "Stop in order: what runs is finished; the second one stops at once"},
        {"SIGHUP", "Read the file of --config again, all of it or nothing"}}});
  lists.push_back({"Exit status",
                   {{"0", "Stopped in order"},
                    {"1", "Could not serve, or stopped with requests cut off"},
                    {"2", "Wrong usage or configuration"}}});
  lists.push_back({"Environment",
                   {{"LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES", "Sockets of the service manager"},
                    {"NOTIFY_SOCKET", "Where the service manager is told how it goes"}}});
  lists.push_back({"See also", {{"cleave(1), cleave-bench(1)", "The clients"}}});
  return cli::man_page(manual(), lists);
}

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine parsed;
  bool man = false;
  CLI::App app("", "cleaved");
  app.set_help_flag("-h,--help", "Show this");
  app.set_version_flag("--version", "cleaved " CLEAVE_VERSION, "Show the version");
  app.add_flag("--man", man, "Write the man page")->group("");
  app.add_option("--config", parsed.config, "Read this TOML file; options override its keys")
      ->type_name("FILE");
  app.add_option("--listen", parsed.listen,
                 "Listen there, may be given several times: tcp://HOST:PORT (0 picks a port), "
                 "udp://HOST:PORT, unix:PATH or fd:NAME (a socket from the service manager), each "
                 "with options as in ?wire=raw&cmd=upper (default tcp://127.0.0.1:8080, or the "
                 "service manager's sockets)")
      ->type_name("URL")
      ->expected(1)
      ->take_all();
  app.add_option("--root", parsed.root, "Keep files in this folder (default ./file_upload)")
      ->type_name("DIR");
  app.add_option("--exec", parsed.exec,
                 "off; shell: clients may run any program; or a TOML file with the commands that "
                 "they may run (default off)")
      ->type_name("MODE|FILE");
  app.add_option("--exec-cgroup", parsed.exec_cgroup,
                 "A cgroup (version 2) in which every program gets one of its own, so that nothing "
                 "of it is left behind (default none)")
      ->type_name("DIR");
  app.add_option("--durability", parsed.durability,
                 "What a stored file outlives once it is answered: full, a power cut; data, the "
                 "same but for its name; none, the end of cleaved (default full)")
      ->type_name("HOW");
  app.add_flag("--insecure", parsed.insecure,
               "Serve addresses other than loopback without authentication");
  app.add_option("--log-format", parsed.log_format, "text or json (default text)")
      ->type_name("FORMAT");
  app.add_option("--log-level", parsed.log_level,
                 "debug, info, warning, error or off (default info)")
      ->type_name("LEVEL");
  app.add_flag("--check", parsed.check, "Check the configuration, and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    parsed.print = cli::help_page(manual(), cli::terms_of(app), cli::page_width());
  } catch (const CLI::CallForVersion&) {
    parsed.print = app.version() + "\n";
  } catch (const CLI::ParseError& error) {
    return refuse(std::string(error.what()) + " (see cleaved --help)");
  }
  if (man) parsed.print = man_page_of(app);
  return parsed;
}

Result<Config> parse_config(std::string_view toml, const std::string& name) {
  Config config;
  const Result<toml::table> table = parse_toml(toml, name);
  if (!table) return fail(table.error());
  for (const auto& [key, node] : *table) {
    if (Result<void> done = read_key(key, node, name, config); !done) return fail(done.error());
  }
  return config;
}

Result<Config> load_config(const CommandLine& command_line) {
  Result<Config> config = Config();
  if (!command_line.config.empty()) {
    config = read_text_file(command_line.config).and_then([&](const std::string& text) {
      return parse_config(text, command_line.config);
    });
    if (!config) return config;
  }
  Result<void> checked = apply(command_line, *config);
  if (checked) checked = read_commands(*config);
  if (checked) checked = check_listeners(*config);
  if (!checked) return fail(checked.error());
  const std::uint64_t ending =
      config->exec.limits.exec_kill_grace_ms + config->exec.limits.exec_linger_ms;
  if (config->exec.mode != ExecMode::off && ending >= config->limits.cancel_grace_ms) {
    return fail(Errc::invalid_argument, "exec_kill_grace_ms and exec_linger_ms are " +
                                            std::to_string(ending) +
                                            " together, and must stay below cancel_grace_ms, " +
                                            std::to_string(config->limits.cancel_grace_ms) +
                                            ": a program is not ended before its request is");
  }
  return config;
}

Result<void> check_reach(const Endpoint& endpoint, const Config& config) {
  if (endpoint.is_loopback() || config.insecure) return {};
  return refuse("listen: '" + endpoint.url() + "' is not a loopback address, and " +
                danger_of(endpoint, config) + "; give --insecure if that is meant");
}

std::vector<std::string_view> restart_keys(const Config& running, const Config& wanted) {
  std::vector<std::string_view> keys;
  if (running.listen != wanted.listen) keys.emplace_back("listen");
  if (running.root != wanted.root) keys.emplace_back("root");
  // What a file of commands says counts as well: whoever takes one away has to know that it is
  // still there.
  if (running.exec.mode != wanted.exec.mode || running.exec_file != wanted.exec_file ||
      running.exec_text != wanted.exec_text) {
    keys.emplace_back("exec");
  }
  if (running.exec_cgroup != wanted.exec_cgroup) keys.emplace_back("exec_cgroup");
  if (running.store.durability != wanted.store.durability) keys.emplace_back("durability");
  if (running.insecure != wanted.insecure) keys.emplace_back("insecure");
  if (running.log_format != wanted.log_format) keys.emplace_back("log_format");
  const auto compare = [&keys](const auto& table, const auto& before, const auto& after) {
    for (const auto& limit : table) {
      if (before.*(limit.field) != after.*(limit.field)) keys.push_back(limit.name);
    }
  };
  compare(exec_limit_table(), running.exec.limits, wanted.exec.limits);
  compare(store_limit_table(), running.store.limits, wanted.store.limits);
  return keys;
}

}  // namespace v0
}  // namespace cleave
