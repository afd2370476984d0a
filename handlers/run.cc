// SPDX-License-Identifier: MIT
#include "cleave/handlers/run.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "cleave/core/observer.h"
#include "cleave/handlers/marked.h"

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

Run::~Run() {
  if (stopped_) process_->kill_group(SIGKILL);
  // Those who left the group for a session of their own still have the mark.
  if ((stopped_ || orphans_) && process_) {
    programs_.loop.offload([mark = mark_] { kill_marked(mark); }, [] {});
  }
  if (!process_ || !programs_.options.on_run) return;
  programs_.options.on_run({.peer = options_.peer,
                            .name = options_.name,
                            .argv = options_.process.argv,
                            .exit = exit_,
                            .killed_by = killed_by_,
                            .in_bytes = in_bytes_,
                            .out_bytes = pipes_[0].bytes,
                            .err_bytes = pipes_[1].bytes,
                            .duration = exit_ ? duration_ : programs_.loop.now() - started_});
}

Result<std::shared_ptr<Run>> Run::start(Programs& programs, RunOptions options) {
  const ExecLimits& limits = programs.options.limits;
  if (programs.running.size() >= limits.exec_max_running) {
    return fail(Errc::busy,
                std::to_string(programs.running.size()) +
                    " programs are running, exec_max_running allows no more",
                "exec_max_running");
  }
  const NamedCommand* const command = options.command;
  if (command != nullptr && command->max_parallel) {
    const auto alike = std::ranges::count_if(
        programs.running, [&](const auto& run) { return run->options_.command == command; });
    if (static_cast<std::uint64_t>(alike) >= *command->max_parallel) {
      return fail(Errc::busy, "'" + std::string(options.name) + "' is running " +
                                  std::to_string(alike) +
                                  " times, its max_parallel allows no more");
    }
  }
  auto run = std::make_shared<Run>(programs, std::move(options));
  run->mark_ = make_mark();
  ProcessOptions process = run->options_.process;
  process.env.push_back(std::string(kMarkName) + "=" + run->mark_);
  auto spawned = Process::spawn(programs.loop, process,
                                [run = run.get()](ProcessExit exit) { run->on_exit(exit); });
  if (!spawned) return fail(spawned.error());
  run->process_ = std::move(*spawned);
  run->started_ = programs.loop.now();
  // From here on, letting go of the run kills the program.
  if (auto connected = run->connect(); !connected) return fail(connected.error());
  if (command != nullptr && command->timeout_ms) {
    run->limit_.start(Millis(*command->timeout_ms));
  } else if (!run->options_.has_deadline) {
    run->limit_.start(Millis(limits.exec_timeout_ms));
  }
  if (command != nullptr && command->silence_ms) run->silence_.start(Millis(*command->silence_ms));
  programs.running.insert(run);
  return run;
}

std::uint64_t Run::output_bytes() const noexcept {
  const std::uint64_t limit = programs_.options.limits.exec_output_bytes;
  return options_.command != nullptr
             ? std::min(options_.command->output_bytes.value_or(limit), limit)
             : limit;
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
    in_bytes_ += written.bytes;
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
  room = std::min(room, Programs::kReadBytes);
  if (lingered_) room = std::min(room, pipe.leftover);

  std::optional<std::size_t> size;
  if (room > 0) size = pipe.reader->read(std::span(programs_.scratch).first(room));
  if (size && *size > 0) {
    if (lingered_) pipe.leftover -= *size;
    pipe.bytes += *size;
    if (silence_.running()) silence_.start(Millis(*options_.command->silence_ms));
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

void Run::stop(CancelReason reason) {
  const bool detach = options_.command != nullptr && options_.command->detach;
  if (detach && reason == CancelReason::peer_gone) {
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
  drop_input();
  process_->kill_group(SIGTERM);
  if (!exit_) grace_.start(Millis(programs_.options.limits.exec_kill_grace_ms));
}

void Run::truncate(std::optional<Error> error) {
  if (killed_by_.empty()) killed_by_ = error ? kMemory : kOutput;
  if (!error_) error_ = std::move(error);
  truncated_ = true;
  stopped_ = true;
  process_->kill_group(SIGKILL);
  for (Pipe& pipe : pipes_) pipe.reader.reset();
}

void Run::abandon() {
  changed_.reset();
  if (detached_ && !stopped_) return read_to_nobody();
  if (killed_by_.empty() && !ended()) killed_by_ = to_string(CancelReason::peer_gone);
  terminate();
  for (Pipe& pipe : pipes_) pipe.reader.reset();
}

// Of one that runs on without its client: it must not wait for a reader.
void Run::read_to_nobody() {
  end_of_input();
  on_change([this] {
    while (!read(Programs::kReadBytes).bytes.empty()) {
    }
  });
  changed();
}

void Run::on_exit(ProcessExit exit) {
  const std::shared_ptr<Run> self = shared_from_this();  // nobody else may own it at the end
  exit_ = exit;
  duration_ = programs_.loop.now() - started_;
  limit_.stop();
  silence_.stop();
  grace_.stop();
  drop_input();
  if (!ended()) linger_.start(Millis(programs_.options.limits.exec_linger_ms));
  programs_.running.erase(self);
  changed();
}

void Run::on_limit() {
  const bool own = options_.command != nullptr && options_.command->timeout_ms;
  if (own) {
    return stop({Errc::deadline_exceeded, "the program ran longer than its timeout_ms, " +
                                              std::to_string(*options_.command->timeout_ms)},
                kTimeout);
  }
  stop({Errc::deadline_exceeded,
        "the program ran longer than exec_timeout_ms, " +
            std::to_string(programs_.options.limits.exec_timeout_ms) +
            " ms, which holds for requests without a 'timeout_ms'",
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
    if (exit_->core) members.set("core", true);
  }
  members.set("duration_ms", duration_.count());
  members.set("stdin_size", in_bytes_);
  if (!killed_by_.empty()) members.set("killed_by", killed_by_);
  if (killed_by_ == kTimeout || killed_by_ == kSilence) members.set("timed_out", true);
  if (truncated_) members.set("truncated", true);
  if (orphans_) members.set("orphans", true);
  return members;
}

}  // namespace v0
}  // namespace cleave
