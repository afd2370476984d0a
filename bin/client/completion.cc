// SPDX-License-Identifier: MIT
#include "cleave/bin/client/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/text.h"
#include "cleave/handlers/file_name.h"
#include "cleave/protocol/utf8.h"

namespace cleave::cli {
namespace {

using TypedWords = std::span<const std::string>;

// A directory of more entries is completed in part.
constexpr std::size_t kLocalEntries = 10'000;

bool is_harmless(const std::string& text) {
  return is_utf8(text) && printable(text) == text;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() != 0;
}

// What stands for a value in --help: "FILE" of `--body FILE` and of the argument FILE.
std::string label_of(const CLI::Option& option) {
  std::string label = option.get_positional() ? option.get_name(true) : option.get_type_name();
  label.erase(std::min(label.find_first_of(": "), label.size()));
  return label;
}

// Where words have got to among the arguments and options that an app declares.
struct Place {
  const CLI::Option* value_of = nullptr;  // the next word is its value
  std::vector<std::string> arguments = {};
  std::vector<std::pair<const CLI::Option*, std::string>> values = {};
  bool options_may_follow = true;
};

class PlaceReader {
 public:
  PlaceReader(const CLI::App& app, TypedWords words) : app_(app) {
    for (const std::string& word : words) take(word);
  }
  Place place;

 private:
  void take(const std::string& word) {
    if (place.value_of != nullptr) {
      place.values.emplace_back(std::exchange(place.value_of, nullptr), word);
    } else if (!place.options_may_follow || word.size() < 2 || word.front() != '-') {
      place.arguments.push_back(word);
      // What is passed on is no more our own.
      if (app_.get_prefix_command()) place.options_may_follow = false;
    } else if (word == "--") {
      place.options_may_follow = false;
    } else if (word.starts_with("--")) {
      const std::size_t equals = word.find('=');
      const CLI::Option* option = find(word.substr(0, equals));
      if (option == nullptr || !takes_value(*option)) return;
      if (equals == std::string::npos) {
        place.value_of = option;
      } else {
        place.values.emplace_back(option, word.substr(equals + 1));
      }
    } else {
      take_letters(word);
    }
  }
  // As in -rc and -P4.
  void take_letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const CLI::Option* option = find(std::string("-") + word[i]);
      if (option == nullptr || !takes_value(*option)) continue;
      if (i + 1 == word.size()) {
        place.value_of = option;
      } else {
        place.values.emplace_back(option, word.substr(i + 1));
      }
      return;
    }
  }
  const CLI::Option* find(const std::string& name) const { return app_.get_option_no_throw(name); }

  const CLI::App& app_;
};

// Gathers what could stand for one word.
class Completer {
 public:
  Completer(std::string word, Session& session, ServerNames& server,
            const std::vector<std::string>& profiles)
      : word_(std::move(word)), session_(session), server_(server), profiles_(profiles) {}

  void in_line(const CLI::App& leading, TypedWords words) {
    const Place before = PlaceReader(leading, words).place;
    if (before.arguments.empty()) return of_app(leading, before, "");
    const std::string name = before.arguments.front();
    const auto command = std::ranges::find(commands(), name, &Command::name);
    if (command == commands().end()) return;
    const TypedWords rest = words.last(before.arguments.size() - 1);
    describe_command(*command, session_,
                     [&](const CLI::App& app) { of_app(app, PlaceReader(app, rest).place, name); });
  }

  std::vector<Candidate> take() {
    std::set<std::string> seen;
    std::erase_if(found_, [&](const Candidate& each) { return !seen.insert(each.word).second; });
    return std::move(found_);
  }

 private:
  // `command` is empty before there is one.
  void of_app(const CLI::App& app, const Place& place, const std::string& command) {
    if (place.value_of != nullptr) return value_of(*place.value_of, place, command, "");
    if (place.options_may_follow && word_.starts_with('-')) {
      const std::size_t equals = word_.find('=');
      if (equals == std::string::npos || !word_.starts_with("--")) return options_of(app);
      const CLI::Option* option = app.get_option_no_throw(word_.substr(0, equals));
      if (option != nullptr && takes_value(*option)) {
        value_of(*option, place, command, word_.substr(0, equals + 1));
      }
      return;
    }
    if (command.empty()) return commands_of_ours();
    if (command == "exec") return arguments_of_named(place);
    const auto arguments =
        app.get_options([](const CLI::Option* option) { return option->get_positional(); });
    if (place.arguments.size() < arguments.size()) {
      value_of(*arguments[place.arguments.size()], place, command, "");
    }
  }

  void add(std::string word, const std::string& summary = {}) {
    if (!word.starts_with(word_) || !is_harmless(word)) return;
    found_.push_back({std::move(word), printable(summary)});
  }

  void options_of(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_group().empty()) continue;  // --help does not tell of it either
      for (const std::string& name : option->get_lnames()) {
        add("--" + name, option->get_description());
      }
      for (const std::string& name : option->get_snames()) {
        add("-" + name, option->get_description());
      }
    }
  }

  void commands_of_ours() {
    for (const Command& command : commands()) {
      add(std::string(command.name), std::string(command.summary));
    }
  }

  // `before` stands in the word before the value: "--body=".
  void value_of(const CLI::Option& option, const Place& place, const std::string& command,
                const std::string& before) {
    const std::string typed = word_.substr(before.size());
    const std::string label = label_of(option);
    const bool argument = option.get_positional();
    if (label == "FILE") {
      local_names(before, typed);
    } else if (label == "URL") {
      addresses(before, typed);
    } else if (label == "CMD" && argument) {
      commands_of_server();
    } else if (label == "DIR" && argument) {
      remote_names(typed, true);
    } else if ((label == "NAME" || label == "FROM" || label == "TO") && argument) {
      remote_names(typed, false);
    } else if (label == "NAME=VALUE" && command == "call") {
      members_of_request(before, typed, place);
    } else if (label == "NAME" && command == "exec") {
      named_commands(before);
    } else if (option.check_lname("profile")) {
      for (const std::string& profile : profiles_) add(before + profile);
    } else {
      one_of_type(option.get_type_name(), before);
    }
  }

  // CLI11 writes the values that an option may have behind its type: "TEXT:{a,b}".
  void one_of_type(const std::string& type, const std::string& before) {
    const std::size_t open = type.find('{');
    const std::size_t close = type.find('}');
    if (open == std::string::npos || close == std::string::npos || close < open) return;
    for (std::size_t at = open + 1; at < close;) {
      const std::size_t end = std::min(type.find(',', at), close);
      add(before + type.substr(at, end - at));
      at = end + 1;
    }
  }

  void addresses(const std::string& before, const std::string& typed) {
    constexpr std::string_view kUnix = "unix:";
    if (typed.starts_with(kUnix)) {
      return local_names(before + std::string(kUnix), typed.substr(kUnix.size()));
    }
    add(before + "tcp://");
    add(before + "unix:");
    add(before + "udp://");
  }

  void local_names(const std::string& before, const std::string& typed) {
    const std::size_t slash = typed.rfind('/') + 1;  // behind it; 0: there is none
    const std::string directory = typed.substr(0, slash);
    std::error_code error;
    std::filesystem::directory_iterator each(directory.empty() ? "." : directory, error);
    const std::string prefix = before + directory;
    std::vector<Candidate> names;
    for (std::size_t i = 0;
         !error && each != std::filesystem::directory_iterator{} && i < kLocalEntries;
         each.increment(error), ++i) {
      std::string name = each->path().filename().string();
      if (name.front() == '.' && typed.substr(slash).empty()) continue;
      std::error_code gone;
      if (each->is_directory(gone)) name += '/';
      names.push_back({prefix + name});
    }
    add_sorted(std::move(names));
  }

  void remote_names(const std::string& typed, bool directories_alone) {
    const std::size_t slash = typed.rfind('/') + 1;
    const std::string prefix = typed.substr(0, slash);
    const std::string directory = slash == 0 ? "" : typed.substr(0, slash - 1);
    if (slash > 0 && !FileName::parse(directory)) return;
    std::vector<Candidate> names;
    for (RemoteEntry& entry : server_.entries(directory, typed.substr(slash))) {
      const bool is_directory = entry.type == "directory";
      if (!FileName::is_part(entry.name) || (directories_alone && !is_directory)) continue;
      names.push_back({prefix + entry.name + (is_directory ? "/" : "")});
    }
    add_sorted(std::move(names));
  }

  void add_sorted(std::vector<Candidate> names) {
    std::ranges::sort(names, {}, &Candidate::word);
    for (Candidate& each : names) add(std::move(each.word));
  }

  // The objects in an array of the object that `owner` is, with their names.
  template <typename Visit>
  static void each_of(const Value& owner, std::string_view array, std::string_view name,
                      Visit visit) {
    const auto objects = owner.find(array);
    if (!objects) return;
    for (const Value object : *objects) {
      const auto found = object.find(name);
      if (found && found->string()) visit(object, std::string(*found->string()));
    }
  }
  static std::string summary_of(const Value& object) {
    const auto summary = object.find("summary");
    return summary ? std::string(summary->string().value_or("")) : "";
  }
  // Passes on what the server's help says of a command.
  template <typename Visit>
  void in_help_of(const std::string& cmd, Visit visit) {
    const Ref<const Header> help = server_.help();
    if (!help) return;
    each_of(help->root(), "commands", "cmd", [&](const Value& command, const std::string& name) {
      if (name == cmd) visit(command);
    });
  }

  void commands_of_server() {
    const Ref<const Header> help = server_.help();
    if (!help) return;
    each_of(help->root(), "commands", "cmd",
            [&](const Value& command, const std::string& name) { add(name, summary_of(command)); });
  }

  // NAME=VALUE of `call CMD`.
  void members_of_request(const std::string& before, const std::string& typed, const Place& place) {
    if (place.arguments.empty()) return;
    in_help_of(place.arguments.front(), [&](const Value& command) {
      each_of(command, "arguments", "name", [&](const Value& argument, const std::string& name) {
        const auto type = argument.find("type");
        const bool boolean = type && type->string() == "boolean";
        if (!typed.starts_with(name + "=")) {
          add(before + name + "=", summary_of(argument));
        } else if (boolean) {
          add(before + name + "=true");
          add(before + name + "=false");
        }
      });
    });
  }

  void named_commands(const std::string& before) {
    in_help_of("exec", [&](const Value& exec) {
      each_of(exec, "commands", "name", [&](const Value& command, const std::string& name) {
        add(before + name, summary_of(command));
      });
    });
  }

  // KEY=VALUE of `exec --name NAME`.
  void arguments_of_named(const Place& place) {
    std::string name;
    for (const auto& [option, value] : place.values) {
      if (option->check_lname("name")) name = value;
    }
    if (name.empty()) return;
    std::set<std::string> given;
    for (const std::string& argument : place.arguments) {
      given.insert(argument.substr(0, argument.find('=')));
    }
    in_help_of("exec", [&](const Value& exec) {
      each_of(exec, "commands", "name", [&](const Value& command, const std::string& called) {
        if (called != name) return;
        each_of(command, "arguments", "name", [&](const Value& argument, const std::string& key) {
          if (!given.contains(key)) argument_of_named(argument, key + "=");
        });
      });
    });
  }

  void argument_of_named(const Value& argument, const std::string& key) {
    if (!word_.starts_with(key)) return add(key, summary_of(argument));
    const auto list = argument.find("list");
    const auto choices = argument.find("one_of");
    if (!choices || (list && list->boolean().value_or(false))) return;
    for (const Value choice : *choices) add(key + std::string(choice.string().value_or("")));
  }

  std::string word_;
  Session& session_;
  ServerNames& server_;
  const std::vector<std::string>& profiles_;
  std::vector<Candidate> found_;
};

}  // namespace

bool goes_on(std::string_view word) {
  return word.ends_with('/') || word.ends_with('=') || word.ends_with(':');
}

std::vector<Candidate> complete(const CLI::App& leading, const std::vector<std::string>& words,
                                const std::string& word, Session& session, ServerNames& server,
                                const std::vector<std::string>& profiles) {
  Completer completer(word, session, server, profiles);
  completer.in_line(leading, words);
  return completer.take();
}

std::string common_beginning(const std::vector<Candidate>& candidates) {
  if (candidates.empty()) return {};
  std::string common = candidates.front().word;
  for (const Candidate& each : candidates) {
    const auto differ = std::ranges::mismatch(common, each.word);
    common.erase(differ.in1, common.end());
  }
  // They may differ in the middle of a character.
  while (!is_utf8(common)) common.pop_back();
  return common;
}

}  // namespace cleave::cli
