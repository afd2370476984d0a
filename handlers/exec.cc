// SPDX-License-Identifier: MIT
#include "cleave/handlers/exec.h"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/handlers/gathered_run.h"
#include "cleave/handlers/run.h"
#include "cleave/handlers/shell_text.h"

namespace cleave {
inline namespace v0 {
namespace {

// ---- Arguments ----------------------------------------------------------------------------------
// Their types were checked by the router; Process refuses what no program can be handed (U+0000).

Result<std::vector<std::string>> read_argv(const Request& request) {
  const bool has_argv = request.has("argv");
  if (has_argv == request.has("shell")) {
    return fail(Errc::invalid_argument, has_argv
                                            ? "expected one of 'argv' and 'shell', both came"
                                            : "expected one of 'argv' and 'shell', neither came");
  }
  if (!has_argv) return {{"/bin/sh", "-c", "--", std::string(request.string("shell").value())}};
  std::vector<std::string> argv = request.strings("argv").value();
  if (argv.empty()) {
    return fail(Errc::invalid_argument, "'argv' is empty: expected a program and its arguments");
  }
  return argv;
}

Result<std::vector<std::string>> read_env(const Request& request) {
  Environment environment = clean_environment();
  if (const auto env = request.header().find("env")) {
    for (const Value variable : *env) {
      const std::string name(variable.name());
      if (name.empty() || name.find('=') != std::string::npos) {
        return fail(Errc::invalid_argument, "a name in 'env' must not be empty or hold '='");
      }
      const auto value = variable.string();
      if (!value) {
        return fail(Errc::invalid_argument, "'env' must hold strings, '" + name + "' is " +
                                                std::string(variable.kind_name()));
      }
      environment.insert_or_assign(name, std::string(*value));
    }
  }
  return environment_lines(environment);
}

// What a client writes itself.
Result<RunOptions> read_program(const Request& request) {
  if (request.has("name") || request.has("args")) {
    return fail(Errc::permission_denied,
                "this server has no named commands; 'argv' and 'shell' are understood");
  }
  const std::string_view cwd = request.string_or("cwd", "").value();
  if (request.has("cwd") && !cwd.starts_with('/')) {
    return fail(Errc::invalid_argument, "'cwd' must be an absolute path");
  }
  auto argv = read_argv(request);
  if (!argv) return fail(std::move(argv.error()));
  auto env = read_env(request);
  if (!env) return fail(std::move(env.error()));
  return RunOptions{.process = as_it_is({std::move(*argv), std::move(*env), std::string(cwd)})};
}

// One of the commands that whoever runs the server has written.
Result<RunOptions> read_named(const std::shared_ptr<const ExecOptions>& options,
                              const Request& request) {
  const NamedCommands& commands = options->commands;
  for (const char* member : {"argv", "shell", "cwd"}) {
    if (request.has(member)) {
      return fail(Errc::permission_denied,
                  "this server runs named commands alone: 'name' and "
                  "'args' are understood, '" +
                      std::string(member) + "' came");
    }
  }
  if (!request.has("name")) {
    return fail(Errc::invalid_argument, "'name' is needed; 'help' lists the commands");
  }
  const auto command = commands.find(*request.string("name"));
  if (command == commands.end()) {
    return fail(Errc::permission_denied, "there is no command of that name; 'help' lists them");
  }
  Result<NamedProcess> named =
      process_of(command->second, request.header().find("args"), request.header().find("env"));
  if (!named) return fail(std::move(named.error()));
  const NamedCommand* const found = &command->second;
  return RunOptions{.process =
                        [options, found, named = *std::move(named)]() mutable {
                          return complete(*found, std::move(named));
                        },
                    .name = command->first,
                    .command = found};
}

// ---- The two replies ----------------------------------------------------------------------------

// With an id: the output is a Source, so the program's pipes are read when there is room for more.
class Streamed final : public Handler, public Source {
 public:
  explicit Streamed(std::shared_ptr<Run> run) : run_(std::move(run)) {
    run_->on_change([this] { wake(); });
  }
  ~Streamed() override { run_->abandon(); }

  void on_body(Chunk chunk) override { run_->input(std::move(chunk).keep()); }
  void on_end() override { run_->end_of_input(); }
  void on_cancel(CancelReason reason) override { run_->stop(reason); }
  bool cancel(CancelReason reason) override {
    run_->stop(reason);
    return true;
  }

  Pulled pull(std::size_t room) override {
    if (const Run::Output output = run_->read(room); !output.bytes.empty()) {
      return Piece{Buffer::copy_of(output.bytes),
                   Members().set("stream", output.stream == 0 ? "stdout" : "stderr")};
    }
    if (!run_->ended()) return Later{};
    if (!run_->was_started()) return Done{{}, run_->error()};
    return Done{
        run_->members().set("stdout_size", run_->bytes(0)).set("stderr_size", run_->bytes(1)),
        run_->error()};
  }

 private:
  std::shared_ptr<Run> run_;
};

// Without an id: one frame, whose body is standard output and standard error behind it.
class OneFrame final : public GatheredRun {
 public:
  using GatheredRun::GatheredRun;

  void on_body(Chunk chunk) override { run().input(std::move(chunk).keep()); }
  void on_end() override { run().end_of_input(); }

 private:
  Reply reply(Outputs outputs) override {
    Reply reply{run().members(), {}, run().error()};
    reply.members.set("stdout_size", outputs[0].size());
    reply.members.set("stderr_size", outputs[1].size());
    reply.body = Buffer::own(std::move(outputs[0]) + outputs[1]);
    return reply;
  }
};

// For `help`: the commands, as a member.
Members describe(const NamedCommands& commands) {
  std::string list = "[";
  for (const auto& [name, command] : commands) {
    list += (list.size() > 1 ? "," : "") + describe(name, command);
  }
  return Members().set_raw("commands", list + "]");
}

std::shared_ptr<Handler> exec(Programs& programs, const Request& request, ReplyToken token) {
  const auto refuse = [&token](Error error) {
    std::move(token).fail(std::move(error));
    return nullptr;
  };
  if (programs.options().mode == ExecMode::off) {
    return refuse({Errc::permission_denied, "exec is off on this server"});
  }
  Result<RunOptions> options = programs.options().mode == ExecMode::named
                                   ? read_named(programs.shared_options(), request)
                                   : read_program(request);
  if (!options) return refuse(std::move(options.error()));
  options->peer = request.peer();
  options->has_deadline = request.deadline().has_value();
  if (!request.has_id()) options->output_bytes = programs.options().limits.exec_output_bytes;
  auto run = Run::start(programs, *std::move(options));
  if (!run) return refuse(std::move(run.error()));

  if (!request.has_id()) {
    auto handler = std::make_shared<OneFrame>(programs, std::move(token));
    handler->gather(std::move(*run));
    return handler;
  }
  auto streamed = std::make_shared<Streamed>(std::move(*run));
  std::move(token).ok({}, std::shared_ptr<Source>(streamed));
  return streamed;
}

}  // namespace

void add_exec(Router& router, Loop& loop, const ExecOptions& options) {
  const auto programs = std::make_shared<Programs>(loop, options);
  CommandSpec spec{
      .summary = "runs a program with the body as its standard input",
      .arguments = {{.name = "argv",
                     .type = Argument::Type::strings,
                     .summary = "the program and its arguments; or else shell"},
                    {.name = "shell", .summary = "a line for /bin/sh -c; or else argv"},
                    {.name = "cwd", .summary = "where to run it: an absolute path"},
                    {.name = "env",
                     .type = Argument::Type::object,
                     .summary = "variables (strings) that are added to a clean environment"},
                    {.name = "name", .summary = "a command of the server's, in place of argv"},
                    {.name = "args",
                     .type = Argument::Type::object,
                     .summary = "its arguments, by their names"}}};
  if (options.mode == ExecMode::named) spec.details = describe(options.commands);
  if (options.mode == ExecMode::shell) {
    spec.message = shell_text(programs);
    spec.message_bytes = options.limits.exec_line_bytes;
  }
  router.add(
      "exec", std::move(spec),
      streaming([programs](const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        return exec(*programs, request, std::move(token));
      }));
}

}  // namespace v0
}  // namespace cleave
