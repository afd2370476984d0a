// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/bin/manual.h"

namespace CLI {
class App;
}

namespace cleave::cli {

class Invocation;

// What carries requests to a server, by the transport and the wire of its address.
enum Carrier : unsigned {
  kFrames = 1,          // a stream of frames: everything
  kFrameDatagrams = 2,  // a frame in a datagram
  kBareStream = 4,      // text, for a command that the server's listener names
  kBareDatagrams = 8,
  kNoServer = 16,  // nothing, as it is all done here
};

// What is told of a command beside its options.
struct CommandPage {
  std::string_view topic = "Others";
  std::string_view about = {};  // as Manual::about
  std::span<const Example> examples = {};
};

// A command of the client: what is typed as `cleave NAME …` or at the prompt.
struct Command {
  std::string_view name;
  std::string_view usage;    // what follows the name
  std::string_view summary;  // one line
  unsigned carriers;         // by which it can be asked
  int (*run)(Invocation& invocation);
  CommandPage page = {};
};

// All of them, in the order in which they are shown. Static storage.
[[nodiscard]] std::span<const Command> commands() noexcept;
// Of a name that is a command's; false for any other.
[[nodiscard]] bool needs_no_server(std::string_view name) noexcept;

// What --help and the man page tell of it.
[[nodiscard]] Manual manual_of(const Command& command);
// Their names with what they do, by topics.
[[nodiscard]] std::vector<TermList> command_lists();

// Runs one command from its words, name first, and returns its exit status. After it
// session.may_hang() may be true.
[[nodiscard]] int run_command(Session& session, const Settings& settings,
                              std::vector<std::string> words);

// Shows the visitor the arguments and options that a command has declared, and does not run it.
void describe_command(const Command& command, Session& session,
                      const std::function<void(CLI::App&)>& visitor);

// The options that stand before a command as well as behind it.
void add_common_options(CLI::App& app, Settings& settings);

}  // namespace cleave::cli
