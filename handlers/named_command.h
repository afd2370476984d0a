// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cleave/core/process.h"
#include "cleave/handlers/file_name.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// What a program finds in its environment, by name.
using Environment = std::map<std::string, std::string, std::less<>>;
// What every program finds there: the server's own may hold secrets, and depends on how it was
// started.
[[nodiscard]] CLEAVE_API Environment clean_environment();
// `NAME=value` for each, as ProcessOptions takes them.
[[nodiscard]] CLEAVE_API std::vector<std::string> environment_lines(const Environment& environment);

// A regular expression (POSIX, extended) that a whole text has to match.
class CLEAVE_API Pattern {
 public:
  // `invalid_argument` with what the system says of it.
  [[nodiscard]] static Result<Pattern> compile(const std::string& text);
  [[nodiscard]] bool matches(const std::string& text) const;
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  struct Compiled;
  Pattern(std::string text, std::shared_ptr<const Compiled> compiled)
      : text_(std::move(text)), compiled_(std::move(compiled)) {}

  std::string text_;
  std::shared_ptr<const Compiled> compiled_;
};

// What a client may give to a named command. There is no list of forbidden characters anywhere: a
// value is what the rule says, and reaches the program as one argument, whatever is in it.
struct NamedArgument {
  struct Integer {
    std::int64_t min;
    std::int64_t max;
  };
  // A relative path (see FileName), which is put behind the directory. No part of it that is there
  // is a symbolic link at that time.
  struct Below {
    std::string directory;
  };
  using OneOf = std::vector<std::string>;

  std::string summary = {};
  std::variant<OneOf, Pattern, Integer, Below> rule = OneOf();
  bool required = true;
  bool list = false;  // any number of them
  // False: a text that begins with '-' is refused, as most programs would take it for an option. (A
  // number that does was allowed by its range, and a path stands behind its directory.)
  bool may_begin_with_dash = false;

  // A value is not longer.
  static constexpr std::size_t kMaxBytes = 4'096;
};

// A program that clients may run, written by whoever runs the server.
//
// `argv` is a template: "{target}" stands for the argument `target`, alone or inside a word;
// "{files...}" as a whole word for all values of a list, a word each; "{{" for a brace. A word with
// an optional argument that is not given is left out.
struct NamedCommand {
  std::string summary = {};
  std::vector<std::string> argv = {};
  std::map<std::string, NamedArgument, std::less<>> arguments = {};
  // Put in front: what brings the program elsewhere or into a sandbox (`bwrap …`, `ssh host …`).
  std::vector<std::string> runner = {};
  std::string cwd = {};
  Environment env = {};                          // beside the clean one
  std::vector<std::string> client_env = {};      // names that a client may set
  std::optional<std::uint64_t> timeout_ms = {};  // at the most; empty: exec_timeout_ms
  std::optional<std::uint64_t> silence_ms = {};  // without output; empty: any time
  std::optional<std::uint64_t> output_bytes = {};
  std::optional<std::uint64_t> max_parallel = {};
  bool detach = false;  // it runs on when its client has gone
  // What it leaves running without its output is left alone when it ends (and is in no cgroup).
  bool background = false;
  std::string user = {};
  std::string group = {};
  bool no_new_privileges = false;
  std::map<std::string, std::uint64_t, std::less<>> rlimits = {};  // by the names of prlimit(1)
};

using NamedCommands = std::map<std::string, NamedCommand, std::less<>>;

// Whether a command is what it has to be: `invalid_argument` with what is wrong.
[[nodiscard]] CLEAVE_API Result<void> check_command(const NamedCommand& command);

// A command with a client's arguments in it, of which nobody has looked at a file yet.
struct NamedProcess {
  // A path that a client has named, and whose argument it is.
  struct Path {
    std::string argument;
    std::string directory;
    FileName name;
  };

  ProcessOptions process;  // without what stands in front of it, and with a clean environment
  Environment variables = {};
  std::vector<Path> paths = {};
};
// Of a command that was checked, for the arguments that a client gives (an object) and the
// variables that it sets (an object); both may be absent.
[[nodiscard]] CLEAVE_API Result<NamedProcess> process_of(const NamedCommand& command,
                                                         const std::optional<Value>& arguments,
                                                         const std::optional<Value>& env);
// What is started, with what stands in front of it. Variables are set behind a change of the user:
// some would bring the programs that make it to run others. Looks at files and users, from any
// thread, and for as long as a disk takes. `permission_denied` for a path that is or leads through
// a symbolic link; `not_found` or `permission_denied` for a program that what stands in front of it
// could not start, and could say so by an exit status only.
[[nodiscard]] CLEAVE_API Result<ProcessOptions> complete(const NamedCommand& command,
                                                         NamedProcess named);
// For `help`: `{"name":…,"summary":…,"arguments":[…]}`.
[[nodiscard]] CLEAVE_API std::string describe(std::string_view name, const NamedCommand& command);

}  // namespace v0
}  // namespace cleave
