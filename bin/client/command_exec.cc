// SPDX-License-Identifier: MIT
// Runs a program on the server as ssh does: its output comes here as it is made, our standard input
// goes there, and we end as it ended.
#include <unistd.h>

#include <span>
#include <string>
#include <vector>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/request_members.h"
#include "cleave/bin/client/standard_input.h"
#include "cleave/bin/client/text_writer.h"

namespace cleave::cli {
namespace {

// The child's two outputs, each to ours of the same name.
class Streams final : public Sink {
 public:
  Streams(Session& session, const Settings& settings)
      : out_(session, settings, STDOUT_FILENO, "standard output"),
        err_(session, settings, STDERR_FILENO, "standard error") {}

  void on_frame(const Header& header) override {
    current_ = header.string_or("stream", "stdout") == "stderr" ? &err_ : &out_;
  }
  void on_body(Buffer bytes) override { current_->write(std::move(bytes)); }

  // Waits until everything is written; what went wrong here, if anything did.
  std::optional<Error> finish() {
    const std::optional<Error> of_out = out_.finish();
    const std::optional<Error> of_err = err_.finish();
    return of_out ? of_out : of_err;
  }

 private:
  TextWriter out_;
  TextWriter err_;
  TextWriter* current_ = &out_;
};

bool is_true(const Header* header, std::string_view member) {
  return header != nullptr && header->boolean_or(member, false).value_or(false);
}

// On most bare wires there is no header that could say it.
int child_status(const Header* header, Console& console) {
  if (is_true(header, "timed_out")) return kDeadline;
  if (is_true(header, "truncated") && header->integer("exit_code", 0, 0)) return kFateUnknown;
  if (header != nullptr) {
    if (auto code = header->integer("exit_code", 0, 255)) return static_cast<int>(*code);
    if (auto signal = header->integer("signal", 1, 127)) return 128 + static_cast<int>(*signal);
  }
  console.report({Errc::internal, "the reply does not say how the program ended"});
  return kFateUnknown;
}

}  // namespace

int run_exec(Invocation& invocation) {
  std::string line;
  std::string name;
  bool tty = false;
  std::vector<std::string> argv;
  auto* shell = invocation.app()
                    .add_option("--shell", line, "A line for the server's shell")
                    ->type_name("LINE");
  invocation.app()
      .add_option("--name", name, "A command of the server's; its arguments follow as KEY=VALUE")
      ->type_name("NAME");
  invocation.app().add_flag("-t,--tty", tty, "Refused, as a program gets pipes and no terminal");
  if (auto status = invocation.parse_leading(argv)) return *status;
  for (const std::string& word : argv) {
    if (auto status = invocation.refuse_unless_utf8(word)) return *status;
  }
  if (tty) {
    return invocation.usage_error(
        "a program gets pipes and no terminal: leave --tty out, or run one that makes a terminal "
        "of its own, as script(1) does");
  }
  const int ways = int{name.empty() && !argv.empty()} + int{!shell->empty()} + int{!name.empty()};
  if (ways != 1 || (!shell->empty() && !argv.empty())) {
    return invocation.usage_error("expected one of ARGV, --shell LINE and --name NAME, got " +
                                  std::string(ways == 0 ? "none" : "several"));
  }
  if (name.empty() && !argv.empty() && argv.front().empty()) {
    return invocation.usage_error("expected ARGV, got an empty word");
  }
  const bool bare = invocation.session.server().wire != Wire::frame;
  if (bare && shell->empty()) {
    return invocation.usage_error(invocation.session.server().url() +
                                  " carries a line for the shell: exec --shell LINE");
  }

  Call call{.cmd = "exec"};
  if (bare) {
    // The line is all that the wire carries, and standard input stays where it is.
    call.body = Buffer::own(std::move(line));
  } else if (!name.empty()) {
    Result<Members> arguments = command_arguments(argv);
    if (!arguments) return invocation.usage_error(arguments.error().message);
    call.members.set("name", name).set("args", *arguments);
  } else if (shell->empty()) {
    call.members.set("argv", std::span<const std::string>(argv));
  } else {
    call.members.set("shell", line);
  }
  if (!bare && !invocation.settings.interactive && ::isatty(STDIN_FILENO) == 0 &&
      !StandardInput::closed()) {
    auto input = StandardInput::open(invocation.session.loop());
    if (!input) {
      invocation.console().report(input.error());
      return kFateUnknown;
    }
    call.body = std::shared_ptr<Source>(std::move(*input));
  }
  Streams streams(invocation.session, invocation.settings);
  const Outcome outcome = invocation.session.run(invocation.settings, std::move(call), streams);
  if (auto error = streams.finish()) {
    invocation.console().report(*error);
    return kFateUnknown;
  }
  const Header* header = outcome.header.get();
  if (is_true(header, "truncated")) {
    invocation.console().warn("the output was longer than the server's limit and has been cut");
  }
  if (is_true(header, "orphans")) {
    invocation.console().warn(
        "processes that the program left behind held its output open and were killed: "
        "the end of what they wrote may be missing");
  }
  if (outcome.result) return child_status(header, invocation.console());
  invocation.console().report(outcome.result.error());
  return is_true(header, "timed_out") ? kDeadline : kFateUnknown;
}

}  // namespace cleave::cli
