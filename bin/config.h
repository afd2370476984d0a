// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/log.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/limits.h"
#include "cleave/handlers/exec_options.h"
#include "cleave/handlers/store_options.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

inline constexpr std::string_view kDefaultListen = "tcp://127.0.0.1:8080";

// What cleaved does. Each member is a key of the configuration file and an option of the command
// line by the same name (with '-' for '_' there); the limits, those of exec and the store as well,
// are keys of the file's table [limits].
struct Config {
  // Empty: the inherited sockets, and where there are none, kDefaultListen.
  std::vector<std::string> listen = {};
  std::string root = "./file_upload";
  ExecOptions exec = {};         // the key `exec` is its mode, or the file of its commands
  std::string exec_file = {};    // empty: its mode has none
  std::string exec_text = {};    // what is in that file
  std::string exec_cgroup = {};  // empty: runs have none of their own
  FileStoreOptions store = {};   // the key `durability` is one of it
  bool insecure = false;
  LogFormat log_format = LogFormat::text;
  LogLevel log_level = LogLevel::info;
  Limits limits = {};
};

// A command line. What it does not mention is empty, and then the file or the default counts.
struct CommandLine {
  std::string config;  // the file's name
  std::vector<std::string> listen;
  std::optional<std::string> root;
  std::optional<std::string> exec;
  std::optional<std::string> exec_cgroup;
  std::optional<std::string> durability;
  std::optional<std::string> log_format;
  std::optional<std::string> log_level;
  bool insecure = false;
  bool check = false;
  std::string print;  // the text of --help or --version: to be printed, and nothing else done
};

// All of these fail with `invalid_argument` (a file that cannot be read with `io_error`) and one
// sentence for the person who wrote what is wrong.

[[nodiscard]] Result<CommandLine> parse_command_line(int argc, const char* const* argv);
// The text of a configuration file; `name` stands in front of the sentences, with the line.
[[nodiscard]] Result<Config> parse_config(std::string_view toml, const std::string& name);
// The configuration that a command line asks for: the file, and over it the options. Whole and
// safe: it can be served with, as far as that can be known without trying.
[[nodiscard]] Result<Config> load_config(const CommandLine& command_line);

// Whether `config` allows to listen there: there is no authentication yet, so whoever reaches a
// listener may do all that is switched on.
[[nodiscard]] Result<void> check_reach(const Endpoint& endpoint, const Config& config);

// The keys that differ between two configurations and cannot be changed while serving.
[[nodiscard]] std::vector<std::string_view> restart_keys(const Config& running,
                                                         const Config& wanted);

}  // namespace v0
}  // namespace cleave
