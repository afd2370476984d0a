// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/protocol/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace cleave::cli {

// The user's file.
struct PresetFile {
  std::string name = {};  // empty: none
  bool chosen = false;    // somebody has named it, so that it has to be there
};

// The one that the environment names: CLEAVE_CONFIG, or the one in the user's folder.
[[nodiscard]] PresetFile preset_file();

// By which names an option is set besides: for `--connect-timeout` the key `connect_timeout` and
// the variable CLEAVE_CONNECT_TIMEOUT. Empty for an option that is not configurable, as CLI11 has
// it.
[[nodiscard]] std::string preset_key(const CLI::Option& option);
[[nodiscard]] std::string preset_variable(const CLI::Option& option);

// What an option is set to, as it would be typed, and who says so.
struct Preset {
  enum class Kind { text, boolean, other };

  std::string text = {};
  Kind kind = Kind::other;
  std::string place = {};
  bool known = false;  // an option has taken it
};

// What options are where the command line says nothing: what the environment says, or else a
// profile of the user's file, or else its defaults:
//
//     [defaults]
//     timeout = 30
//     [profiles.build]
//     server = "tcp://127.0.0.1:9000"
//
// What is wrong in it comes as `invalid_argument` and one sentence that begins with the variable,
// or with the file and the line.
class Presets {
 public:
  // The environment alone.
  Presets() = default;
  [[nodiscard]] static Result<Presets> parse(std::string_view toml, const std::string& name);
  // Reads a file, unless it is not there and need not be. One that others than the user and root
  // can write is refused: it decides to whom files are sent.
  [[nodiscard]] static Result<Presets> load(const PresetFile& file);

  [[nodiscard]] std::vector<std::string> profiles() const;
  // Has a profile count.
  [[nodiscard]] Result<void> choose(const std::string& profile);

  // Sets the options that the command line, which has been parsed, has not.
  [[nodiscard]] Result<void> apply(CLI::App& app) const;

  // Tries every value of the file on the options of an app, whose values are of no use after that.
  [[nodiscard]] Result<void> check(CLI::App& app);
  // Whether each key was one of the apps' that were checked.
  [[nodiscard]] Result<void> check_keys() const;
  [[nodiscard]] bool empty() const noexcept { return defaults_.empty() && profiles_.empty(); }

 private:
  using Table = std::map<std::string, Preset, std::less<>>;

  [[nodiscard]] const Preset* find(const std::string& key) const;
  Result<void> try_on(CLI::App& app, Table& table);

  std::string file_ = {};
  Table defaults_ = {};
  std::map<std::string, Table, std::less<>> profiles_ = {};
  std::optional<std::string> chosen_ = {};
};

}  // namespace cleave::cli
