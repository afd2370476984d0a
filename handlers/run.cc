// SPDX-License-Identifier: MIT
#include "cleave/handlers/run.h"

#include <algorithm>
#include <csignal>
#include <span>
#include <string>
#include <utility>

#include "cleave/core/observer.h"
#include "cleave/handlers/remains.h"

namespace cleave {
inline namespace v0 {

namespace {

// Reasons, as the reply says them.
constexpr std::string_view kTimeout = "timeout";
constexpr std::string_view kSilence = "silence";
constexpr std::string_view kOutput = "output";
constexpr std::string_view kMemory = "memory";

std::string_view killed_by(CancelReason reason) {
  return reason == CancelReason::deadline ? kTimeout : to_string(reason);
}

}  // namespace

// ---- Beginning ----------------------------------------------------------------------------------

Run::Run(Programs& programs, RunOptions options, std::string mark)
    : programs_(programs),
      options_(std::move(options)),
      mark_(std::move(mark)),
      limit_(programs.loop(), [this] { on_limit(); }),
      silence_(programs.loop(), [this] { on_silence(); }),
      grace_(programs.loop(), [this] { on_grace_over(); }),
      linger_(programs.loop(), [this] { on_linger_over(); }) {
  if (const NamedCommand* const command = options_.command; command && command->output_bytes) {
    options_.output_bytes = std::min(options_.output_bytes, *command->output_bytes);
  }
}

Result<std::shared_ptr<Run>> Run::start(Programs& programs, RunOptions options) {
  Result<std::string> mark = make_mark();
  if (!mark) return fail(std::move(mark.error()));
  const NamedCommand* const command = options.command;
  auto place = programs.take_place(command, options.name);
  if (!place) return fail(std::move(place.error()));
  auto run = std::make_shared<Run>(programs, std::move(options), *std::move(mark));
  programs.own(run);

  // The time that a disk takes to bring the program counts. A client's deadline stands in place of
  // the default, but not of what was written for a command.
  const std::uint64_t longest = programs.options().limits.exec_timeout_ms;
  if (command != nullptr) {
    run->limit_.start(Millis(command->timeout_ms.value_or(longest)));
  } else if (!run->options_.has_deadline) {
    run->limit_.start(Millis(longest));
  }
  Loop& loop = programs.loop();
  loop.offload(
      [options = programs.shared_options(), in_cgroup = run->in_cgroup(), mark = run->mark_,
       process = std::move(run->options_.process)]() mutable {
        return load(process, in_cgroup ? options->cgroups.get() : nullptr, mark);
      },
      [&loop, weak = std::weak_ptr<Run>(run)](Result<Loaded> loaded) {
        if (const auto self = weak.lock()) return self->on_loaded(std::move(loaded));
        // It outlived its server. The loop ends it, and does not wait for that.
        if (loaded) (void)Process::adopt(loop, std::move(loaded->process), [](ProcessExit) {});
      });
  return run;
}

Result<Run::Loaded> Run::load(UniqueFunction<Result<ProcessOptions>()>& process,
                              const RunCgroups* cgroups, const std::string& mark) {
  Result<ProcessOptions> options = process();
  if (!options) return fail(std::move(options.error()));
  const std::string name = std::string(kMarkName) + "=";
  std::erase_if(options->env, [&name](const std::string& line) { return line.starts_with(name); });
  options->env.push_back(name + mark);
  if (cgroups != nullptr) {
    Result<std::string> made = cgroups->make(mark);
    if (!made) return fail(std::move(made.error()));
    options->cgroup = *std::move(made);
  }
  Result<StartedProcess> started = StartedProcess::start(*options);
  if (!started) {
    if (cgroups != nullptr) cgroups->clear(mark);
    return fail(std::move(started.error()));
  }
  return Loaded{*std::move(started), std::move(options->argv)};
}

void Run::on_loaded(Result<Loaded> loaded) {
  if (!loaded) return on_no_start(std::move(loaded.error()));
  argv_ = std::move(loaded->argv);
  if (auto done = look_after(std::move(loaded->process)); !done) {
    return on_no_start(std::move(done.error()));
  }
  stage_ = Stage::running;
  started_ = programs_.loop().now();
  if (const NamedCommand* const command = options_.command; command && command->silence_ms) {
    silence_.start(Millis(*command->silence_ms));
  }
  if (stopped_) signal_end();
  if (abandoned_) return let_output_go();
  feed();
  changed();
}

Result<void> Run::look_after(StartedProcess process) {
  Loop& loop = programs_.loop();
  auto adopted =
      Process::adopt(loop, std::move(process), [this](ProcessExit exit) { on_exit(exit); });
  if (!adopted) return fail(std::move(adopted.error()));
  // From here on, letting go of it kills the program.
  process_ = *std::move(adopted);
  auto out = PipeReader::create(loop, process_->take_stdout(), [this] { changed(); });
  if (!out) return fail(std::move(out.error()));
  auto err = PipeReader::create(loop, process_->take_stderr(), [this] { changed(); });
  if (!err) return fail(std::move(err.error()));
  Fd input = process_->take_stdin();
  if (!input_ended_ || !input_.empty()) {
    auto in = PipeWriter::create(loop, std::move(input), [this] { feed(); });
    if (!in) return fail(std::move(in.error()));
    writer_.emplace(*std::move(in));
  }
  pipes_[0].reader.emplace(*std::move(out));
  pipes_[1].reader.emplace(*std::move(err));
  return {};
}

void Run::on_no_start(Error error) {
  const std::shared_ptr<Run> self = shared_from_this();  // nobody else may own it at the end
  if (in_cgroup()) programs_.remains().clear(mark_);
  process_.reset();
  if (!error_) error_ = std::move(error);
  stage_ = Stage::over;
  limit_.stop();
  input_.clear();
  programs_.let_go(self);
  changed();
}

// ---- Input and output ---------------------------------------------------------------------------

void Run::feed() {
  if (stage_ == Stage::starting) return;
  // A program that is to end gets no more, and does not find its input at its end either: it would
  // take what came so far for all of it.
  if (stopped_ && stage_ == Stage::running) return input_.clear();
  while (writer_ && !input_.empty()) {
    const PipeWriter::Written written = writer_->write(input_.front().bytes());
    in_bytes_ += written.bytes;
    // A program need not read its input: `head` does not.
    if (written.outcome == PipeWriter::Outcome::gone) {
      writer_.reset();
      break;
    }
    input_.front().drop_front(written.bytes);
    if (written.outcome == PipeWriter::Outcome::would_block) return;
    input_.pop_front();
  }
  if (!writer_) input_.clear();
  if (input_ended_) writer_.reset();
}

Run::Output Run::read(std::size_t room) {
  // By turns, so that a stream that never pauses does not hide the other one.
  for (std::size_t tries = 0; tries < pipes_.size(); ++tries) {
    turn_ = 1 - turn_;
    if (const std::size_t size = read_some(pipes_[turn_], room); size > 0) {
      return {turn_, {programs_.scratch().data(), size}};
    }
  }
  return {};
}

std::size_t Run::read_some(Pipe& pipe, std::size_t room) {
  if (!pipe.reader) return 0;
  const std::uint64_t allowed = options_.output_bytes - bytes(0) - bytes(1);
  // One byte more than is allowed tells that there is more.
  room = std::min<std::uint64_t>({room, Programs::kReadBytes, allowed + 1});
  if (pipe.leftover) room = std::min(room, *pipe.leftover);

  std::optional<std::size_t> size = 0;
  if (room > 0) size = pipe.reader->read(std::span(programs_.scratch()).first(room));
  if (!size && !pipe.leftover) return 0;
  if (size.value_or(0) == 0) {
    pipe.reader.reset();
    return 0;
  }
  if (pipe.leftover) *pipe.leftover -= *size;
  if (silence_.running()) silence_.start(Millis(*options_.command->silence_ms));
  const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(*size, allowed));
  pipe.bytes += taken;
  if (*size > allowed) truncate(kOutput);
  return taken;
}

// Of one that runs on without its client: it must not wait for a reader.
void Run::read_to_nobody() {
  for (int i = 0; i < Programs::kReadsATurn; ++i) {
    if (read(Programs::kReadBytes).bytes.empty()) return;
  }
  programs_.loop().post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->read_to_nobody();
  });
}

// ---- Ending -------------------------------------------------------------------------------------

void Run::stop(CancelReason reason) {
  const bool detach = options_.command != nullptr && options_.command->detach;
  if (detach && reason == CancelReason::peer_gone && input_ended_) {
    detached_ = true;
    return;
  }
  stop(to_error(reason), killed_by(reason));
}

void Run::stop(Error error, std::string_view why) {
  if (stopped_ || ended()) return;
  error_ = std::move(error);
  killed_by_ = why;
  terminate();
}

void Run::terminate() {
  if (stopped_ || ended()) return;
  stopped_ = true;
  input_.clear();
  signal_end();
}

// Of one that is being started the end begins when it was.
void Run::signal_end() {
  if (!process_) return;
  const Millis grace(programs_.options().limits.exec_kill_grace_ms);
  process_->kill_group(SIGTERM);
  grace_end_ = programs_.loop().now() + grace;
  grace_.start(grace);
}

void Run::give_up(Error error) {
  if (!error_) error_ = std::move(error);
  truncate(kMemory);
}

void Run::truncate(std::string_view why) {
  if (killed_by_.empty()) killed_by_ = why;
  truncated_ = true;
  stopped_ = true;
  process_->kill_group(SIGKILL);
  for (Pipe& pipe : pipes_) pipe.reader.reset();
}

void Run::abandon() {
  changed_.reset();
  abandoned_ = true;
  if (stage_ != Stage::starting) {
    let_output_go();
  } else if (!detached_) {
    stop(to_error(CancelReason::peer_gone), to_string(CancelReason::peer_gone));
  }
}

void Run::let_output_go() {
  if (detached_ && !stopped_) {
    on_change([this] { read_to_nobody(); });
    return read_to_nobody();
  }
  stop(to_error(CancelReason::peer_gone), to_string(CancelReason::peer_gone));
  for (Pipe& pipe : pipes_) pipe.reader.reset();
}

void Run::end_with_server() {
  changed_.reset();
  if (killed_by_.empty()) killed_by_ = to_string(CancelReason::draining);
  stopped_ = true;
}

void Run::on_exit(ProcessExit exit) {
  const std::shared_ptr<Run> self = shared_from_this();  // nobody else may own it at the end
  stage_ = Stage::over;
  exit_ = exit;
  duration_ = programs_.loop().now() - started_;
  limit_.stop();
  silence_.stop();
  input_.clear();
  writer_.reset();
  // Others of its group may be cleaning up.
  if (!grace_.running()) linger_.start(Millis(programs_.options().limits.exec_linger_ms));
  programs_.let_go(self);
  changed();
}

void Run::on_limit() {
  const bool own = options_.command != nullptr && options_.command->timeout_ms;
  const std::string limit = std::to_string(own ? *options_.command->timeout_ms
                                               : programs_.options().limits.exec_timeout_ms);
  if (own) {
    return stop({Errc::deadline_exceeded, "the program ran longer than its timeout_ms, " + limit},
                kTimeout);
  }
  stop({Errc::deadline_exceeded, "the program ran longer than exec_timeout_ms, " + limit,
        "exec_timeout_ms"},
       kTimeout);
}

void Run::on_silence() {
  const std::uint64_t limit = *options_.command->silence_ms;
  // Output that a slow reader has not taken yet is no silence.
  const auto waits = [](const Pipe& pipe) { return pipe.reader && pipe.reader->readable(); };
  if (std::ranges::any_of(pipes_, waits)) return silence_.start(Millis(limit));
  stop({Errc::deadline_exceeded,
        "the program wrote nothing for its silence_ms, " + std::to_string(limit)},
       kSilence);
}

void Run::on_grace_over() {
  process_->kill_group(SIGKILL);
  if (exit_) linger_.start(Millis(programs_.options().limits.exec_linger_ms));
}

void Run::on_linger_over() {
  for (Pipe& pipe : pipes_) {
    if (!pipe.reader || !pipe.reader->has_writer()) continue;
    orphans_ = true;
    pipe.leftover = pipe.reader->waiting();
  }
  if (orphans_) {
    process_->kill_group(SIGKILL);
    programs_.remains().clear(mark_);
  }
  changed();
}

bool Run::may_leave_some() const noexcept {
  return options_.command != nullptr ? options_.command->background
                                     : programs_.options().cgroups == nullptr;
}

bool Run::in_cgroup() const noexcept {
  return programs_.options().cgroups != nullptr && !may_leave_some();
}

Run::~Run() {
  programs_.give_back_place(options_.command);
  if (!process_) return;
  if (exit_ && grace_.running()) {
    programs_.end_at(grace_end_, std::move(process_), mark_);
  } else {
    if (stopped_ || !may_leave_some()) process_->kill_group(SIGKILL);
    // Those who left the group for a session of their own still have the mark.
    if (stopped_ || in_cgroup()) programs_.remains().clear(mark_);
  }
  if (!programs_.options().on_run) return;
  programs_.options().on_run({.peer = options_.peer,
                              .name = options_.name,
                              .argv = argv_,
                              .exit = exit_,
                              .killed_by = killed_by_,
                              .in_bytes = in_bytes_,
                              .out_bytes = pipes_[0].bytes,
                              .err_bytes = pipes_[1].bytes,
                              .duration = exit_ ? duration_ : programs_.loop().now() - started_});
}

// ---- What is said of it -------------------------------------------------------------------------

Members Run::members() const {
  Members members;
  if (!exit_) return members;
  if (exit_->code) {
    members.set("exit_code", *exit_->code);
  } else {
    members.set("signal", exit_->signal);
    if (exit_->core) members.set("core", true);
  }
  members.set("duration_ms", duration_.count());
  members.set("stdin_size", in_bytes_);
  // One that ended by itself in the moment in which its output was cut was killed by nobody.
  if (!killed_by_.empty() && !(truncated_ && exit_->code)) members.set("killed_by", killed_by_);
  if (killed_by_ == kTimeout || killed_by_ == kSilence) members.set("timed_out", true);
  if (truncated_) members.set("truncated", true);
  if (orphans_) members.set("orphans", true);
  return members;
}

}  // namespace v0
}  // namespace cleave
