// SPDX-License-Identifier: MIT
#include "cleave/handlers/exec.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/core/pipe.h"
#include "cleave/core/process.h"

namespace cleave {
inline namespace v0 {
namespace {

// What one read takes: all that a pipe holds by default.
constexpr std::size_t kReadBytes = 64 * 1024;
// What a pipe can hold at most (pipe-max-size of an unprivileged process).
constexpr std::size_t kPipeBytes = 1024 * 1024;

class Run;

// What all runs share. Belongs to the route, and owns every run until its child was reaped: a run
// outlives the request that it was started for.
struct Programs {
  Programs(Loop& a_loop, const ExecOptions& some_options) : loop(a_loop), options(some_options) {}

  Loop& loop;
  const ExecOptions options;
  std::set<std::shared_ptr<Run>> running;
  std::array<char, kReadBytes> scratch;
};

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

// A clean environment: the server's own may hold its secrets and depends on how it was started.
Result<std::vector<std::string>> read_env(const Request& request) {
  const char* home = std::getenv("HOME");
  std::map<std::string, std::string, std::less<>> variables = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
      {"HOME", home != nullptr ? home : "/"},
      {"LANG", "C.UTF-8"},
  };
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
      variables.insert_or_assign(name, std::string(*value));
    }
  }
  std::vector<std::string> lines;
  lines.reserve(variables.size());
  for (const auto& [name, value] : variables) lines.emplace_back(name).append("=").append(value);
  return lines;
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

// ---- A run --------------------------------------------------------------------------------------

// One program, from its start until its child was reaped and its output has ended. It feeds the
// input, gives the output to whoever asks for it, and sees to it that there is an end:
//
//     running --exit--> lingering --both pipes end, or linger_ms and nothing to read--> ended
//        \--stop(): SIGTERM, after the grace SIGKILL, to the group--^
//
// The exit of the child is not the end of its output, nor the other way round: a process in the
// background may hold the pipes for ever, and a child may close them and go on working.
class Run final : public std::enable_shared_from_this<Run> {
 public:
  explicit Run(Programs& programs)
      : programs_(programs),
        limit_(programs.loop, [this] { on_limit(); }),
        grace_(programs.loop, [this] { process_->kill_group(SIGKILL); }),
        linger_(programs.loop, [this] { on_linger_over(); }) {}
  // A run that was told to end leaves nobody of its group behind.
  ~Run() {
    if (stopped_) process_->kill_group(SIGKILL);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  static Result<std::shared_ptr<Run>> start(Programs& programs, const ProcessOptions& options,
                                            bool has_deadline);

  // `changed` is called when read() may have more, or when the run may have ended.
  void on_change(UniqueFunction<void()> changed) { changed_ = std::move(changed); }

  void input(Buffer bytes) {
    input_.push_back(std::move(bytes));
    feed();
  }
  void end_of_input() {
    input_ended_ = true;
    feed();
  }

  // At most `room` bytes of one stream: empty when there is nothing now. Valid until the next call.
  struct Output {
    std::size_t stream;  // 0 standard output, 1 standard error
    std::string_view bytes;
  };
  Output read(std::size_t room);
  [[nodiscard]] bool ended() const noexcept {
    return exit_ && !pipes_[0].reader && !pipes_[1].reader;
  }

  // Makes the program end soon; its output can be read until it has. The first reason counts.
  void stop(CancelReason reason) { stop(to_error(reason), reason == CancelReason::deadline); }
  // Makes the program end now, as its output is more than is wanted.
  void truncate();
  // Nobody is interested any more: the program ends, and its output goes nowhere.
  void abandon();

  // Of a run that has ended: the members of its reply, and its error if it was stopped.
  [[nodiscard]] Members members() const;
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  struct Pipe {
    std::optional<PipeReader> reader;   // empty: it has ended
    std::size_t leftover = kPipeBytes;  // bytes that may still be read when the lingering is over
  };

  Result<void> connect();
  void stop(Error error, bool timed_out);
  void terminate();
  void feed();
  void drop_input();
  std::size_t read(Pipe& pipe, std::size_t room);
  void changed() {
    if (changed_) changed_();
  }
  void on_exit(ProcessExit exit);
  void on_limit();
  void on_linger_over();

  Programs& programs_;
  std::unique_ptr<Process> process_;
  std::array<Pipe, 2> pipes_;
  std::size_t turn_ = 0;  // the stream that was read last
  std::optional<PipeWriter> writer_;
  std::deque<Buffer> input_;
  UniqueFunction<void()> changed_;
  Timer limit_;
  Timer grace_;
  Timer linger_;

  Time started_;
  Millis duration_{};
  std::optional<ProcessExit> exit_;
  std::optional<Error> error_;
  bool input_ended_ = false;
  bool stopped_ = false;
  bool lingered_ = false;
  bool timed_out_ = false;
  bool truncated_ = false;
  bool orphans_ = false;
};

Result<std::shared_ptr<Run>> Run::start(Programs& programs, const ProcessOptions& options,
                                        bool has_deadline) {
  auto run = std::make_shared<Run>(programs);
  auto process = Process::spawn(programs.loop, options,
                                [run = run.get()](ProcessExit exit) { run->on_exit(exit); });
  if (!process) return fail(process.error());
  run->process_ = std::move(*process);
  run->started_ = programs.loop.now();
  // From here on, letting go of the run kills the program.
  if (auto connected = run->connect(); !connected) return fail(connected.error());
  if (!has_deadline) run->limit_.start(Millis(programs.options.exec_timeout_ms));
  programs.running.insert(run);
  return run;
}

Result<void> Run::connect() {
  Loop& loop = programs_.loop;
  auto out = PipeReader::create(loop, process_->take_stdout(), [this] { changed(); });
  if (!out) return fail(out.error());
  auto err = PipeReader::create(loop, process_->take_stderr(), [this] { changed(); });
  if (!err) return fail(err.error());
  auto in = PipeWriter::create(loop, process_->take_stdin(), [this] { feed(); });
  if (!in) return fail(in.error());
  pipes_[0].reader.emplace(std::move(*out));
  pipes_[1].reader.emplace(std::move(*err));
  writer_.emplace(std::move(*in));
  return {};
}

void Run::feed() {
  while (writer_ && !input_.empty()) {
    const PipeWriter::Written written = writer_->write(input_.front().bytes());
    // A program need not read its input: `head` does not.
    if (written.outcome == PipeWriter::Outcome::gone) return drop_input();
    input_.front().drop_front(written.bytes);
    if (written.outcome == PipeWriter::Outcome::would_block) return;
    input_.pop_front();
  }
  if (input_ended_ || !writer_) drop_input();
}

void Run::drop_input() {
  input_.clear();
  writer_.reset();
}

Run::Output Run::read(std::size_t room) {
  // By turns, so that a stream that never pauses does not hide the other one.
  for (std::size_t tries = 0; tries < pipes_.size(); ++tries) {
    turn_ = 1 - turn_;
    if (const std::size_t size = read(pipes_[turn_], room); size > 0) {
      return {turn_, {programs_.scratch.data(), size}};
    }
  }
  return {};
}

std::size_t Run::read(Pipe& pipe, std::size_t room) {
  if (!pipe.reader) return 0;
  room = std::min(room, kReadBytes);
  if (lingered_) room = std::min(room, pipe.leftover);

  std::optional<std::size_t> size;
  if (room > 0) size = pipe.reader->read(std::span(programs_.scratch).first(room));
  if (size && *size > 0) {
    if (lingered_) pipe.leftover -= *size;
    return *size;
  }
  if (size) {
    pipe.reader.reset();
  } else if (lingered_) {
    // The child's own output has been read, and somebody has the pipe open still, or has written
    // more than a pipe can have held when the lingering was over.
    orphans_ = true;
    process_->kill_group(SIGKILL);
    pipe.reader.reset();
  }
  return 0;
}

void Run::stop(Error error, bool timed_out) {
  if (stopped_ || ended()) return;
  error_ = std::move(error);
  timed_out_ = timed_out;
  terminate();
}

void Run::terminate() {
  if (stopped_ || ended()) return;
  stopped_ = true;
  drop_input();
  process_->kill_group(SIGTERM);
  if (!exit_) grace_.start(Millis(programs_.options.exec_kill_grace_ms));
}

void Run::truncate() {
  truncated_ = true;
  stopped_ = true;
  process_->kill_group(SIGKILL);
  for (Pipe& pipe : pipes_) pipe.reader.reset();
}

void Run::abandon() {
  changed_.reset();
  terminate();
  for (Pipe& pipe : pipes_) pipe.reader.reset();
}

void Run::on_exit(ProcessExit exit) {
  const std::shared_ptr<Run> self = shared_from_this();  // nobody else may own it at the end
  exit_ = exit;
  duration_ = programs_.loop.now() - started_;
  limit_.stop();
  grace_.stop();
  drop_input();
  if (!ended()) linger_.start(Millis(programs_.options.exec_linger_ms));
  programs_.running.erase(self);
  changed();
}

void Run::on_limit() {
  stop({Errc::deadline_exceeded, "the program ran longer than exec_timeout_ms, " +
                                     std::to_string(programs_.options.exec_timeout_ms) +
                                     " ms, which holds for requests without a 'timeout_ms'"},
       true);
}

void Run::on_linger_over() {
  lingered_ = true;
  changed();
}

Members Run::members() const {
  Members members;
  if (exit_->code) {
    members.set("exit_code", *exit_->code);
  } else {
    members.set("signal", exit_->signal);
  }
  members.set("duration_ms", duration_.count());
  if (timed_out_) members.set("timed_out", true);
  if (truncated_) members.set("truncated", true);
  if (orphans_) members.set("orphans", true);
  return members;
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

// Without an id: the output is gathered, as a single frame names its size first.
class Gathered final : public Handler, public std::enable_shared_from_this<Gathered> {
 public:
  Gathered(Programs& programs, std::shared_ptr<Run> run, ReplyToken token)
      : programs_(programs), run_(std::move(run)), token_(std::move(token)) {
    run_->on_change([this] { gather(); });
  }
  ~Gathered() override { run_->abandon(); }

  void on_body(Chunk chunk) override { run_->input(std::move(chunk).keep()); }
  void on_end() override { run_->end_of_input(); }
  void on_cancel(CancelReason reason) override { run_->stop(reason); }

  // Takes what there is, a few reads in a turn of the loop: a program may write as fast as we read.
  void gather() {
    constexpr int kReadsATurn = 8;
    for (int i = 0; i < kReadsATurn; ++i) {
      const std::uint64_t room =
          programs_.options.exec_output_bytes - outputs_[0].size() - outputs_[1].size();
      // One byte more than fits tells that there is more.
      const Run::Output output = run_->read(std::min<std::uint64_t>(room + 1, kReadBytes));
      outputs_[output.stream].append(output.bytes.substr(0, room));
      if (output.bytes.size() > room) run_->truncate();
      if (run_->ended()) return answer();
      if (output.bytes.empty()) return;
    }
    programs_.loop.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->gather();
    });
  }

 private:
  void answer() {
    if (!token_) return;
    Reply reply{run_->members(), {}, run_->error()};
    reply.members.set("stdout_size", outputs_[0].size());
    reply.members.set("stderr_size", outputs_[1].size());
    outputs_[0] += outputs_[1];
    reply.body = Buffer::own(std::move(outputs_[0]));
    // The answer may destroy this object.
    ReplyToken token = std::move(*token_);
    token_.reset();
    std::move(token).send(std::move(reply));
  }

  Programs& programs_;
  std::shared_ptr<Run> run_;
  std::optional<ReplyToken> token_;
  std::array<std::string, 2> outputs_;
};

std::shared_ptr<Handler> exec(Programs& programs, const Request& request, ReplyToken token) {
  const auto refuse = [&token](Error error) {
    std::move(token).fail(std::move(error));
    return nullptr;
  };
  if (programs.options.mode == ExecMode::off) {
    return refuse({Errc::permission_denied, "exec is off on this server"});
  }
  if (programs.running.size() >= programs.options.exec_max_running) {
    return refuse({Errc::busy, std::to_string(programs.running.size()) +
                                   " programs are running, exec_max_running allows no more"});
  }
  auto arguments = read_arguments(request);
  if (!arguments) return refuse(std::move(arguments.error()));
  auto run = Run::start(programs, *arguments, request.deadline().has_value());
  if (!run) return refuse(std::move(run.error()));

  if (!request.has_id()) {
    auto gathered = std::make_shared<Gathered>(programs, std::move(*run), std::move(token));
    gathered->gather();
    return gathered;
  }
  auto streamed = std::make_shared<Streamed>(std::move(*run));
  std::move(token).ok({}, std::shared_ptr<Source>(streamed));
  return streamed;
}

constexpr LimitOf<ExecOptions> kLimits[] = {
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
    {"exec_max_running", &ExecOptions::exec_max_running, 1, 10'000,
     "programs at once: more than this slow each other down, and each holds three pipes"},
};
// Behind the mode, which takes one place, every field is a limit.
static_assert((std::size(kLimits) + 1) * sizeof(std::uint64_t) == sizeof(ExecOptions));

}  // namespace

std::span<const LimitOf<ExecOptions>> exec_limit_table() noexcept {
  return kLimits;
}

void add_exec(Router& router, Loop& loop, const ExecOptions& options) {
  router.add(
      "exec",
      {.summary = "runs a program with the body as its standard input",
       .arguments = {{.name = "argv",
                      .type = Argument::Type::strings,
                      .summary = "the program and its arguments; or else shell"},
                     {.name = "shell", .summary = "a line for /bin/sh -c; or else argv"},
                     {.name = "cwd", .summary = "where to run it: an absolute path"},
                     {.name = "env",
                      .type = Argument::Type::object,
                      .summary = "variables (strings) that are added to a clean environment"}}},
      streaming([programs = std::make_shared<Programs>(loop, options)](
                    const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        return exec(*programs, request, std::move(token));
      }));
}

}  // namespace v0
}  // namespace cleave
