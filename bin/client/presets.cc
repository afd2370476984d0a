// SPDX-License-Identifier: MIT
#include "cleave/bin/client/presets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "cleave/bin/client/environment.h"
#include "cleave/bin/toml_file.h"

namespace cleave::cli {
namespace {

tl::unexpected<Error> mistake(std::string sentence) {
  return fail(Errc::invalid_argument, std::move(sentence));
}

// As it would be typed.
Result<Preset> preset_from(const toml::node& node, std::string place) {
  Preset preset{.place = std::move(place)};
  if (const auto text = node.value_exact<std::string>()) {
    preset.text = *text;
  } else if (const auto integer = node.value_exact<std::int64_t>()) {
    preset.text = std::to_string(*integer);
  } else if (const auto number = node.value_exact<double>()) {
    std::array<char, 32> digits{};
    preset.text.assign(digits.data(), std::to_chars(digits.begin(), digits.end(), *number).ptr);
  } else if (const auto boolean = node.value_exact<bool>()) {
    preset.text = *boolean ? "true" : "false";
    preset.kind = Preset::Kind::boolean;
  } else {
    return mistake(preset.place + ": expected a string in quotes, a number, or true or false");
  }
  return preset;
}

// Sets an option that has no value yet.
Result<void> set(CLI::Option& option, const Preset& preset) {
  const bool takes_none = option.get_items_expected_max() == 0;
  if (preset.kind == Preset::Kind::boolean && option.get_items_expected_min() > 0) {
    return mistake(preset.place + ": expected a value, got " + preset.text);
  }
  if (preset.kind == Preset::Kind::other && takes_none) {
    return mistake(preset.place + ": expected true or false");
  }
  // CLI11's own sentences begin with the option, and here another place is to be looked at.
  const std::string name = option.get_name() + ": ";
  try {
    option.add_result(preset.text);
    option.run_callback();
    return {};
  } catch (const CLI::ConversionError&) {
    return mistake(preset.place + ": expected " + (takes_none ? "true or false" : "another kind") +
                   ", got '" + preset.text + "'");
  } catch (const CLI::ParseError& error) {
    const std::string sentence = error.what();
    return mistake(preset.place + ": " +
                   (sentence.starts_with(name) ? sentence.substr(name.size()) : sentence));
  }
}

// What others can write they could have written.
Result<void> check_owner(const Fd& file, const std::string& name) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return mistake(name + ": expected a file of yours or root's, and it is somebody else's");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return mistake(name + ": expected a file that nobody else can write; chmod go-w makes it one");
  }
  return {};
}

}  // namespace

PresetFile preset_file() {
  if (auto named = environment_variable("CLEAVE_CONFIG")) {
    return {.name = *std::move(named), .chosen = true};
  }
  const auto folder = user_folder("XDG_CONFIG_HOME", ".config");
  return {.name = folder ? *folder + "/cleave/config.toml" : ""};
}

std::string preset_key(const CLI::Option& option) {
  if (!option.get_configurable() || option.get_lnames().empty()) return {};
  std::string key = option.get_lnames().front();
  std::ranges::replace(key, '-', '_');
  return key;
}

std::string preset_variable(const CLI::Option& option) {
  std::string name = preset_key(option);
  if (name.empty()) return {};
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return "CLEAVE_" + name;
}

Result<Presets> Presets::parse(std::string_view toml, const std::string& name) {
  const Result<toml::table> file = parse_toml(toml, name);
  if (!file) return fail(file.error());
  Presets presets;
  presets.file_ = name;
  const auto read = [&name](const toml::key& key, const toml::node& node,
                            Table& table) -> Result<void> {
    if (!node.is_table()) return mistake(place_of(name, key) + ": expected a table");
    for (const auto& [option, value] : *node.as_table()) {
      Result<Preset> preset = preset_from(value, place_of(name, option));
      if (!preset) return fail(preset.error());
      table.emplace(std::string(option.str()), *std::move(preset));
    }
    return {};
  };
  for (const auto& [key, node] : *file) {
    Result<void> done;
    if (key == "defaults") {
      done = read(key, node, presets.defaults_);
    } else if (key == "profiles" && node.is_table()) {
      for (const auto& [profile, options] : *node.as_table()) {
        if (done) done = read(profile, options, presets.profiles_[std::string(profile.str())]);
      }
    } else {
      done = mistake(place_of(name, key) + ": expected [defaults] and [profiles.NAME] alone");
    }
    if (!done) return fail(done.error());
  }
  return presets;
}

Result<Presets> Presets::load(const PresetFile& file) {
  Presets none;
  none.file_ = file.name;
  if (file.name.empty()) return none;
  // Nobody waits for a writer of what is no file.
  const Fd opened(::open(file.name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!opened && !file.chosen && (errno == ENOENT || errno == ENOTDIR)) return none;
  if (!opened) return mistake(file.name + ": cannot be opened: " + std::strerror(errno));
  if (Result<void> checked = check_owner(opened, file.name); !checked) return fail(checked.error());
  return read_text_file(opened, file.name).and_then([&file](const std::string& text) {
    return parse(text, file.name);
  });
}

std::vector<std::string> Presets::profiles() const {
  std::vector<std::string> names;
  for (const auto& [name, table] : profiles_) names.push_back(name);
  return names;
}

Result<void> Presets::choose(const std::string& profile) {
  if (profiles_.contains(profile)) {
    chosen_ = profile;
    return {};
  }
  std::string names;
  for (const auto& [name, table] : profiles_) names.append(names.empty() ? "" : ", ").append(name);
  return mistake("there is no profile '" + profile + "'" +
                 (file_.empty() ? ", as there is no file of them" : " in " + file_) +
                 (names.empty() ? "" : "; there are: " + names));
}

const Preset* Presets::find(const std::string& key) const {
  if (chosen_) {
    const Table& profile = profiles_.at(*chosen_);
    if (const auto preset = profile.find(key); preset != profile.end()) return &preset->second;
  }
  const auto preset = defaults_.find(key);
  return preset == defaults_.end() ? nullptr : &preset->second;
}

Result<void> Presets::apply(CLI::App& app) const {
  const auto is_on = [](const CLI::Option* option) { return option->as<bool>(); };
  for (CLI::Option* const option : app.get_options()) {
    const std::string key = preset_key(*option);
    if (key.empty() || option->count() > 0) continue;
    if (std::ranges::any_of(option->get_excludes(), is_on)) continue;
    Result<void> done;
    const std::string variable = preset_variable(*option);
    if (auto text = environment_variable(variable); text && !text->empty()) {
      done =
          set(*option, {.text = *std::move(text), .kind = Preset::Kind::text, .place = variable});
    } else if (const Preset* const preset = find(key)) {
      done = set(*option, *preset);
    }
    if (!done) return done;
  }
  return {};
}

Result<void> Presets::try_on(CLI::App& app, Table& table) {
  for (CLI::Option* const option : app.get_options()) {
    const std::string key = preset_key(*option);
    const auto preset = table.find(key);
    if (key.empty() || preset == table.end()) continue;
    preset->second.known = true;
    option->clear();
    if (Result<void> done = set(*option, preset->second); !done) return done;
  }
  return {};
}

Result<void> Presets::check(CLI::App& app) {
  Result<void> done = try_on(app, defaults_);
  for (auto& [name, table] : profiles_) {
    if (done) done = try_on(app, table);
  }
  return done;
}

Result<void> Presets::check_keys() const {
  const auto check = [](const Table& table) -> Result<void> {
    for (const auto& [key, preset] : table) {
      if (!preset.known) return mistake(preset.place + ": there is no such key");
    }
    return {};
  };
  Result<void> done = check(defaults_);
  for (const auto& [name, table] : profiles_) {
    if (done) done = check(table);
  }
  return done;
}

}  // namespace cleave::cli
