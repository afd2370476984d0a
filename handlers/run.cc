// SPDX-License-Identifier: MIT
#include "cleave/handlers/run.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

namespace cleave {
inline namespace v0 {

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

Result<std::shared_ptr<Run>> Run::start(Programs& programs, const ProcessOptions& options,
                                        bool has_deadline) {
  if (programs.running.size() >= programs.options.exec_max_running) {
    return fail(Errc::busy,
                std::to_string(programs.running.size()) +
                    " programs are running, exec_max_running allows no more",
                "exec_max_running");
  }
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
  room = std::min(room, Programs::kReadBytes);
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

void Run::truncate(std::optional<Error> error) {
  if (!error_) error_ = std::move(error);
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
  stop({Errc::deadline_exceeded,
        "the program ran longer than exec_timeout_ms, " +
            std::to_string(programs_.options.exec_timeout_ms) +
            " ms, which holds for requests without a 'timeout_ms'",
        "exec_timeout_ms"},
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

}  // namespace v0
}  // namespace cleave
