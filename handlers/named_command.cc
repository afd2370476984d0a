// SPDX-License-Identifier: MIT
#include "cleave/handlers/named_command.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <regex.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <set>
#include <utility>

#include "cleave/handlers/beneath.h"
#include "cleave/handlers/file_name.h"
#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {

// ---- Environment --------------------------------------------------------------------------------

Environment clean_environment() {
  const char* home = std::getenv("HOME");
  return {
      {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
      {"HOME", home != nullptr ? home : "/"},
      {"LANG", "C.UTF-8"},
  };
}

std::vector<std::string> environment_lines(const Environment& environment) {
  std::vector<std::string> lines;
  lines.reserve(environment.size());
  for (const auto& [name, value] : environment) lines.emplace_back(name).append("=").append(value);
  return lines;
}

// ---- Pattern ------------------------------------------------------------------------------------

struct Pattern::Compiled {
  regex_t regex{};
  bool good = false;

  Compiled() = default;
  ~Compiled() {
    if (good) ::regfree(&regex);
  }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
};

Result<Pattern> Pattern::compile(const std::string& text) {
  auto compiled = std::make_shared<Compiled>();
  const int error = ::regcomp(&compiled->regex, text.c_str(), REG_EXTENDED);
  compiled->good = error == 0;
  if (error != 0) {
    std::array<char, 256> reason{};
    ::regerror(error, &compiled->regex, reason.data(), reason.size());
    return fail(Errc::invalid_argument, "'" + text + "' is no pattern: " + reason.data());
  }
  return Pattern(text, std::move(compiled));
}

bool Pattern::matches(const std::string& text) const {
  // The match is the longest of those that begin first: the whole text, if that is one. Brackets
  // around the pattern would change what "a)|(b" is, and which group "\\1" names.
  regmatch_t match{};
  return ::regexec(&compiled_->regex, text.c_str(), 1, &match, 0) == 0 && match.rm_so == 0 &&
         static_cast<std::size_t>(match.rm_eo) == text.size();
}

namespace {

tl::unexpected<Error> refuse(std::string sentence) {
  return fail(Errc::invalid_argument, std::move(sentence));
}

// ---- The template -------------------------------------------------------------------------------

// A word of a template, or a part of one.
struct Piece {
  std::string text;  // literal, or the name of an argument
  bool argument = false;
  bool list = false;
};

Result<std::vector<Piece>> parse_word(const std::string& word) {
  std::vector<Piece> pieces;
  const auto literal = [&pieces](char c) {
    if (pieces.empty() || pieces.back().argument) pieces.push_back({});
    pieces.back().text += c;
  };
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] != '{') {
      literal(word[at]);
      continue;
    }
    if (word.compare(at, 2, "{{") == 0) {
      literal('{');
      ++at;
      continue;
    }
    const std::size_t end = word.find('}', at);
    if (end == std::string::npos) return refuse("'" + word + "' has a '{' without its '}'");
    Piece piece{.text = word.substr(at + 1, end - at - 1), .argument = true};
    if (piece.text.ends_with("...")) {
      piece.list = true;
      piece.text.resize(piece.text.size() - 3);
      if (at != 0 || end + 1 != word.size()) {
        return refuse("'{" + piece.text + "...}' has to be a word by itself");
      }
    }
    pieces.push_back(std::move(piece));
    at = end;
  }
  return pieces;
}

// ---- Values -------------------------------------------------------------------------------------

std::string named(std::string_view argument) {
  return "the argument '" + std::string(argument) + "'";
}

std::string range_of(const NamedArgument::Integer& integer) {
  return std::to_string(integer.min) + " to " + std::to_string(integer.max);
}

// Nothing that is there on the way may be a link: it could lead anywhere.
Result<void> check_no_link(const NamedProcess::Path& path) {
  Fd root(::open(path.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) {
    return fail(Errc::failed_precondition, named(path.argument) + ": '" + path.directory +
                                               "' cannot be opened on this server");
  }
  const Beneath beneath(std::move(root));
  const OrErrno<Fd> parent = beneath.open_directory(path.name.parent());
  struct stat status {};
  const bool link = parent ? ::fstatat(parent->get(), path.name.leaf().c_str(), &status,
                                       AT_SYMLINK_NOFOLLOW) == 0 &&
                                 S_ISLNK(status.st_mode)
                           : parent.error() == ELOOP;
  if (!link) return {};
  return fail(Errc::permission_denied, named(path.argument) + ": '" + path.name.text() +
                                           "' is, or leads through, a symbolic link");
}

Result<std::string> text_of(std::string_view argument, const NamedArgument& rule,
                            const Value& value, std::vector<NamedProcess::Path>& paths) {
  if (const auto* integer = std::get_if<NamedArgument::Integer>(&rule.rule)) {
    const auto number = value.integer();
    if (!number || *number < integer->min || *number > integer->max) {
      return refuse(named(argument) + " is an integer from " + range_of(*integer));
    }
    return std::to_string(*number);
  }
  // A number that is wanted as text is taken as it was written.
  const bool number = value.kind() == Value::Kind::number;
  const auto given = number ? std::optional(value.text()) : value.string();
  if (!given) {
    return refuse(named(argument) + " is a string, and " + std::string(value.kind_name()) +
                  " came");
  }
  std::string text(*given);
  if (text.size() > NamedArgument::kMaxBytes) {
    return refuse(named(argument) + " has at most " + std::to_string(NamedArgument::kMaxBytes) +
                  " bytes");
  }
  if (text.find('\0') != std::string::npos) return refuse(named(argument) + " holds a zero byte");
  if (const auto* one_of = std::get_if<NamedArgument::OneOf>(&rule.rule)) {
    if (std::ranges::find(*one_of, text) != one_of->end()) return text;
    std::string words;
    for (const std::string& word : *one_of) words += (words.empty() ? "" : ", ") + word;
    return refuse(named(argument) + " is one of " + words);
  }
  if (const auto* below = std::get_if<NamedArgument::Below>(&rule.rule)) {
    Result<FileName> name = FileName::parse(text);
    if (!name) return refuse(named(argument) + ": " + name.error().message);
    paths.push_back({std::string(argument), below->directory, *std::move(name)});
    return below->directory + "/" + text;
  }
  if (text.starts_with('-') && !rule.may_begin_with_dash) {
    return refuse(named(argument) + " does not begin with '-'");
  }
  const Pattern& pattern = std::get<Pattern>(rule.rule);
  if (pattern.matches(text)) return text;
  return refuse(named(argument) + " matches " + pattern.text());
}

using Texts = std::map<std::string, std::vector<std::string>, std::less<>>;

Result<Texts> read_arguments(const NamedCommand& command, const std::optional<Value>& given,
                             std::vector<NamedProcess::Path>& paths) {
  Texts texts;
  if (given) {
    for (const Value value : *given) {
      const auto rule = command.arguments.find(value.name());
      if (rule == command.arguments.end()) {
        return refuse("there is no argument '" + std::string(value.name()) + "'");
      }
      std::vector<std::string>& into = texts[rule->first];
      const auto add = [&](const Value& one) -> Result<void> {
        Result<std::string> text = text_of(rule->first, rule->second, one, paths);
        if (!text) return fail(std::move(text.error()));
        into.push_back(*std::move(text));
        return {};
      };
      if (rule->second.list && value.kind() == Value::Kind::array) {
        for (const Value one : value) {
          if (Result<void> added = add(one); !added) return fail(std::move(added.error()));
        }
      } else if (Result<void> added = add(value); !added) {
        return fail(std::move(added.error()));
      }
    }
  }
  for (const auto& [name, rule] : command.arguments) {
    const auto found = texts.find(name);
    if (rule.required && (found == texts.end() || found->second.empty()))
      return refuse(named(name) + " is needed");
  }
  return texts;
}

std::vector<std::string> fill(const std::vector<std::string>& words, const Texts& texts) {
  std::vector<std::string> argv;
  for (const std::string& word : words) {
    const std::vector<Piece> pieces = parse_word(word).value();  // was checked
    if (pieces.size() == 1 && pieces.front().list) {
      const auto found = texts.find(pieces.front().text);
      if (found != texts.end()) argv.insert(argv.end(), found->second.begin(), found->second.end());
      continue;
    }
    std::string filled;
    bool left_out = false;
    for (const Piece& piece : pieces) {
      if (!piece.argument) {
        filled += piece.text;
        continue;
      }
      const auto found = texts.find(piece.text);
      left_out = left_out || found == texts.end();
      if (found != texts.end()) filled += found->second.front();
    }
    if (!left_out) argv.push_back(std::move(filled));
  }
  return argv;
}

Result<void> read_env(const NamedCommand& command, const std::optional<Value>& given,
                      Environment& env) {
  if (!given) return {};
  for (const Value variable : *given) {
    const std::string name(variable.name());
    if (std::ranges::find(command.client_env, name) == command.client_env.end()) {
      return fail(Errc::permission_denied, "the variable '" + name + "' may not be set for this");
    }
    const auto value = variable.string();
    if (!value) return refuse("the variable '" + name + "' is a string");
    env.insert_or_assign(name, std::string(*value));
  }
  return {};
}

// More than an entry of a user or a group takes that somebody has written.
constexpr std::size_t kEntryBytes = 256 * 1024;

struct User {
  gid_t group;
  std::string home;
};
std::optional<User> find_user(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> memory(kEntryBytes);
  (void)::getpwnam_r(name.c_str(), &entry, memory.data(), memory.size(), &found);
  if (found == nullptr) return std::nullopt;
  return User{found->pw_gid, found->pw_dir};
}

bool has_group(const std::string& name) {
  group entry{};
  group* found = nullptr;
  std::vector<char> memory(kEntryBytes);
  (void)::getgrnam_r(name.c_str(), &entry, memory.data(), memory.size(), &found);
  return found != nullptr;
}

bool changes_user(const NamedCommand& command) {
  return !command.user.empty() || !command.group.empty();
}

// What sets what posix_spawn(3) cannot set: rlimits, user and groups, no new privileges.
std::vector<std::string> wrapper_of(const NamedCommand& command, const std::optional<User>& user) {
  std::vector<std::string> words;
  if (!command.rlimits.empty()) {
    words.emplace_back("/usr/bin/prlimit");
    for (const auto& [name, value] : command.rlimits) {
      words.push_back("--" + name + "=" + std::to_string(value) + ":" + std::to_string(value));
    }
    words.emplace_back("--");
  }
  if (changes_user(command) || command.no_new_privileges) {
    words.emplace_back("/usr/bin/setpriv");
    if (!command.user.empty()) words.push_back("--reuid=" + command.user);
    // The group that is named and no other, or the user's own.
    if (!command.group.empty()) {
      words.push_back("--regid=" + command.group);
      words.emplace_back("--clear-groups");
    } else if (user) {
      words.push_back("--regid=" + std::to_string(user->group));
      words.emplace_back("--init-groups");
    }
    if (command.no_new_privileges) words.emplace_back("--no-new-privs");
    words.emplace_back("--");
  }
  return words;
}

Result<void> check_word(const NamedCommand& command, const std::string& word,
                        std::set<std::string>& used) {
  const Result<std::vector<Piece>> pieces = parse_word(word);
  if (!pieces) return fail(pieces.error());
  for (const Piece& piece : *pieces) {
    if (!piece.argument) continue;
    const auto found = command.arguments.find(piece.text);
    if (found == command.arguments.end()) {
      return refuse("'" + word + "' names an argument that is not described");
    }
    if (found->second.list != piece.list) {
      return refuse("'" + piece.text + "' is " + (piece.list ? "no list" : "a list") +
                    ", and is written {" + piece.text + (piece.list ? "}" : "...}"));
    }
    used.insert(piece.text);
  }
  return {};
}

bool is_variable(const std::string& name) {
  return !name.empty() && name.find('=') == std::string::npos;
}

// What stands in front of a command.
Result<void> check_front(const NamedCommand& command) {
  if (changes_user(command) && ::geteuid() != 0) {
    return refuse("user and group can be set only by a server that runs as root");
  }
  std::optional<User> user;
  if (!command.user.empty()) {
    user = find_user(command.user);
    if (!user) return refuse("there is no user '" + command.user + "'");
  }
  if (!command.group.empty() && !has_group(command.group)) {
    return refuse("there is no group '" + command.group + "'");
  }
  // env(1) would take it for a variable.
  const std::string& program =
      command.runner.empty() ? command.argv.front() : command.runner.front();
  if (changes_user(command) && program.find('=') != std::string::npos) {
    return refuse("the path of a program that runs as another user has no '='");
  }
  std::vector<std::string> programs = wrapper_of(command, user);
  std::erase_if(programs, [](const std::string& word) { return !word.starts_with('/'); });
  if (!command.runner.empty()) programs.push_back(command.runner.front());
  for (const std::string& needed : programs) {
    if (::access(needed.c_str(), X_OK) != 0) {
      return refuse("'" + needed + "' is needed for that, and is not there");
    }
  }
  return {};
}

}  // namespace

// ---- A command ----------------------------------------------------------------------------------

Result<void> check_command(const NamedCommand& command) {
  static constexpr std::array<std::string_view, 12> kRlimits = {
      "as",       "core",   "cpu",   "data", "fsize", "memlock",
      "msgqueue", "nofile", "nproc", "rss",  "stack", "sigpending"};
  if (command.argv.empty()) return refuse("argv is empty: expected a program and its arguments");
  const auto absolute = [](const std::vector<std::string>& words) {
    return words.empty() || words.front().starts_with('/');
  };
  if (!absolute(command.argv) || !absolute(command.runner)) {
    return refuse("a program is named by an absolute path: what a PATH finds may be another one");
  }
  if (!command.cwd.empty() && !command.cwd.starts_with('/')) {
    return refuse("cwd must be an absolute path");
  }
  std::set<std::string> used;
  for (const std::string& word : command.argv) {
    if (Result<void> checked = check_word(command, word, used); !checked) return checked;
  }
  if (!used.empty() && command.argv.front().find('{') != std::string::npos &&
      parse_word(command.argv.front())->size() > 1) {
    return refuse("the program itself is no argument");
  }
  for (const auto& [name, rule] : command.arguments) {
    if (!used.contains(name)) return refuse("argv does not have the argument '" + name + "'");
    if (const auto* one_of = std::get_if<NamedArgument::OneOf>(&rule.rule);
        one_of != nullptr && one_of->empty()) {
      return refuse("the argument '" + name + "' has no value that it may be");
    }
    if (const auto* integer = std::get_if<NamedArgument::Integer>(&rule.rule);
        integer != nullptr && integer->min > integer->max) {
      return refuse("the argument '" + name + "' has a min above its max");
    }
    if (const auto* below = std::get_if<NamedArgument::Below>(&rule.rule);
        below != nullptr && !below->directory.starts_with('/')) {
      return refuse("the argument '" + name + "' lies below an absolute path");
    }
  }
  for (const auto& [name, value] : command.env) {
    if (!is_variable(name)) return refuse("'" + name + "' is no name of a variable");
  }
  for (const auto& [name, value] : command.rlimits) {
    if (std::ranges::find(kRlimits, name) == kRlimits.end()) {
      return refuse("there is no rlimit '" + name + "'");
    }
  }
  return check_front(command);
}

Result<NamedProcess> process_of(const NamedCommand& command, const std::optional<Value>& arguments,
                                const std::optional<Value>& env) {
  NamedProcess named{.process = {.cwd = command.cwd}};
  Result<Texts> texts = read_arguments(command, arguments, named.paths);
  if (!texts) return fail(std::move(texts.error()));
  named.process.argv = fill(command.argv, *texts);
  named.process.env = environment_lines(clean_environment());
  named.variables = command.env;
  if (Result<void> read = read_env(command, env, named.variables); !read) {
    return fail(std::move(read.error()));
  }
  return named;
}

Result<ProcessOptions> complete(const NamedCommand& command, NamedProcess named) {
  for (const NamedProcess::Path& path : named.paths) {
    if (Result<void> checked = check_no_link(path); !checked)
      return fail(std::move(checked.error()));
  }
  std::optional<User> user;
  if (!command.user.empty()) {
    user = find_user(command.user);
    if (!user) return fail(Errc::failed_precondition, "there is no user '" + command.user + "'");
    named.variables.try_emplace("HOME", user->home);
    named.variables.try_emplace("USER", command.user);
    named.variables.try_emplace("LOGNAME", command.user);
  }
  std::vector<std::string> words = wrapper_of(command, user);
  std::vector<std::string>& argv = named.process.argv;
  // A runner may bring it to where nobody here can look.
  if (!words.empty() && command.runner.empty() && ::access(argv.front().c_str(), X_OK) != 0) {
    return fail(errno == EACCES ? Errc::permission_denied : Errc::not_found,
                "'" + argv.front() + "' cannot be started");
  }
  const std::vector<std::string> variables = environment_lines(named.variables);
  if (changes_user(command)) {
    words.insert(words.end(), {"/usr/bin/env", "--"});
    words.insert(words.end(), variables.begin(), variables.end());
  } else {
    Environment all = clean_environment();
    for (const auto& [name, value] : named.variables) all.insert_or_assign(name, value);
    named.process.env = environment_lines(all);
  }
  words.insert(words.end(), command.runner.begin(), command.runner.end());
  argv.insert(argv.begin(), std::make_move_iterator(words.begin()),
              std::make_move_iterator(words.end()));
  return std::move(named.process);
}

std::string describe(std::string_view name, const NamedCommand& command) {
  std::string arguments = "[";
  for (const auto& [argument, rule] : command.arguments) {
    Members members;
    members.set("name", argument);
    if (const auto* integer = std::get_if<NamedArgument::Integer>(&rule.rule)) {
      members.set("type", "integer").set("min", integer->min).set("max", integer->max);
    } else if (const auto* one_of = std::get_if<NamedArgument::OneOf>(&rule.rule)) {
      members.set("type", "string").set("one_of", std::span<const std::string>(*one_of));
    } else if (const auto* pattern = std::get_if<Pattern>(&rule.rule)) {
      members.set("type", "string").set("pattern", pattern->text());
    } else {
      members.set("type", "path");
    }
    members.set("required", rule.required).set("list", rule.list).set("summary", rule.summary);
    arguments += (arguments.size() > 1 ? "," : "") + members.object();
  }
  Members members;
  members.set("name", name).set("summary", command.summary);
  members.set_raw("arguments", arguments + "]");
  return members.object();
}

}  // namespace v0
}  // namespace cleave
