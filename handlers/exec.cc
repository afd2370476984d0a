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

Result<ProcessOptions> read_arguments(const Request& request) {
  if (request.has("name") || request.has("args")) {
    return fail(Errc::permission_denied,
                "this server has no list of named programs; 'argv' and 'shell' are understood");
  }
  const std::string_view cwd = request.string_or("cwd", "").value();
  if (request.has("cwd") && !cwd.starts_with('/')) {
    return fail(Errc::invalid_argument, "'cwd' must be an absolute path");
  }
  auto argv = read_argv(request);
  if (!argv) return fail(std::move(argv.error()));
  auto env = read_env(request);
  if (!env) return fail(std::move(env.error()));
  return ProcessOptions{std::move(*argv), std::move(*env), std::string(cwd)};
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
    return Done{run_->members(), run_->error()};
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

std::shared_ptr<Handler> exec(Programs& programs, const Request& request, ReplyToken token) {
  const auto refuse = [&token](Error error) {
    std::move(token).fail(std::move(error));
    return nullptr;
  };
  if (programs.options.mode == ExecMode::off) {
    return refuse({Errc::permission_denied, "exec is off on this server"});
  }
  auto arguments = read_arguments(request);
  if (!arguments) return refuse(std::move(arguments.error()));
  auto run = Run::start(programs, *arguments, request.deadline().has_value());
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

constexpr LimitOf<ExecOptions> kExecLimits[] = {
    {"exec_timeout_ms", &ExecOptions::exec_timeout_ms, 100, 30ULL * 24 * 3'600'000,
     "a program that nobody gave a timeout_ms: longer than one waits for a command, and a stuck "
     "one "
     "ends before it is forgotten"},
    {"exec_linger_ms", &ExecOptions::exec_linger_ms, 0, 3'600'000,
     "output that comes after the exit, from whoever still holds the pipes; then they are killed"},
    {"exec_kill_grace_ms", &ExecOptions::exec_kill_grace_ms, 0, 3'600'000,
     "from SIGTERM to SIGKILL; with the lingering it must stay below cancel_grace_ms"},
    {"exec_output_bytes", &ExecOptions::exec_output_bytes, 1'024, 1024ULL * 1024 * 1024,
     "output held for a reply without an id; whoever wants more sends an id"},
    {"exec_line_bytes", &ExecOptions::exec_line_bytes, 1, 64 * 1'024,
     "a bare message; less than fits in one packet on any network, as half a line would be run"},
    {"exec_max_running", &ExecOptions::exec_max_running, 1, 10'000,
     "programs at once: more than this slow each other down, and each holds three pipes"},
};
// Behind the mode, which takes one place, every field is a limit.
static_assert((std::size(kExecLimits) + 1) * sizeof(std::uint64_t) == sizeof(ExecOptions));

}  // namespace

std::span<const LimitOf<ExecOptions>> exec_limit_table() noexcept {
  return kExecLimits;
}

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
                     .summary = "variables (strings) that are added to a clean environment"}}};
  if (options.mode == ExecMode::shell) {
    spec.message = shell_text(programs);
    spec.message_bytes = options.exec_line_bytes;
  }
  router.add(
      "exec", std::move(spec),
      streaming([programs](const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        return exec(*programs, request, std::move(token));
      }));
}

}  // namespace v0
}  // namespace cleave
