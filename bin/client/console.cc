// SPDX-License-Identifier: MIT
#include "cleave/bin/client/console.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/width.h"
#include "cleave/handlers/local_error.h"

namespace cleave::cli {
namespace {

constexpr std::string_view kRed = "\x1b[1;31m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kNoColour = "\x1b[0m";

// The columns of a line of ours, whose colours take none.
std::size_t shown_width(const std::string& line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = line.find('m', i);
      if (i == std::string::npos) break;
    } else {
      text += line[i];
    }
  }
  return width_of(text);
}

Members event_members(const Error& error) {
  return Members().set("code", to_string(error.code)).set("message", error.message);
}

}  // namespace

Console::Console()
    : error_(STDERR_FILENO, TerminalEnvironment::of_process()),
      output_(STDOUT_FILENO, TerminalEnvironment::of_process()) {}

void Console::set_up(const Settings& settings) {
  const bool wanted = settings.progress == ProgressAs::automatic && !settings.quiet;
  live_ = wanted && error_.is_live();
  plain_ = (wanted && error_.is_terminal() && !live_) || settings.progress == ProgressAs::plain;
  events_ = settings.progress == ProgressAs::json;
  in_line_ = false;
  error_coloured_ = error_.coloured(settings.color) && !events_;
  output_coloured_ = output_.coloured(settings.color);
}

// ---- Lines --------------------------------------------------------------------------------------

void Console::report(const Error& error) {
  if (events_) return event("error", event_members(error));
  say("cleave: " + std::string(to_string(error.code)) + ":", kRed, printable(error.message));
}

int Console::report_status(const Error& error) {
  report(error);
  return exit_status(error.code);
}

void Console::remark(std::string_view sentence) {
  if (events_) return event("message", Members().set("message", sentence));
  say("cleave:", "", sentence);
}

void Console::warn(std::string_view sentence) {
  if (events_) return event("warning", Members().set("message", sentence));
  say("cleave:", kYellow, sentence);
}

void Console::say_retry(const Error& error, unsigned failures, unsigned retries, Millis delay,
                        const std::string& file) {
  if (events_) {
    Members members = event_members(error);
    members.set("retry", failures).set("retries", retries).set("delay_ms", delay.count());
    if (!file.empty()) members.set("filename", file);
    return event("retry", members);
  }
  std::array<char, 64> when{};
  std::snprintf(when.data(), when.size(), "; try %u of %u in %.1f s", failures, retries,
                static_cast<double>(delay.count()) / 1000);
  const std::string what = file.empty() ? error.message : "'" + file + "': " + error.message;
  say("cleave: " + std::string(to_string(error.code)) + ":", kYellow,
      printable(what) + when.data());
}

void Console::say_resumed(const std::string& name, std::uint64_t offset) {
  if (events_) return event("resume", Members().set("filename", name).set("offset", offset));
  remark("'" + printable(name) + "' goes on behind its first " +
         human_size(static_cast<double>(offset)));
}

void Console::event(std::string_view name, const Members& members) {
  if (!events_) return;
  Members line;
  line.set("event", name).append(members);
  const std::lock_guard lock(mutex_);
  write(stderr, json_line(line.object()) + "\n");
}

void Console::say(std::string_view prefix, std::string_view colour, std::string_view sentence) {
  std::string line;
  if (error_coloured_ && !colour.empty()) {
    line.append(colour).append(prefix).append(kNoColour);
  } else {
    line = prefix;
  }
  line.append(" ").append(sentence).append("\n");
  const std::lock_guard lock(mutex_);
  write(stderr, line);
}

void Console::on_interrupt() {
  const std::lock_guard lock(mutex_);
  in_line_ = error_.is_terminal() && !events_;
}

void Console::print(const std::string& line) {
  const std::lock_guard lock(mutex_);
  write(stdout, line + "\n");
  std::fflush(stdout);  // one comes with each file, and may be waited for
}

int Console::finish_results() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return kOk;
  return report_status(local_error(errno, "cannot write standard output"));
}

// ---- Lines that are drawn anew ------------------------------------------------------------------

// To the first column of the first line that is shown. A window that has become narrower has broken
// the lines that did not fit any more.
std::string Console::to_first_line() const {
  const std::size_t width = error_.size().columns;
  std::size_t rows = 0;
  for (const std::string& line : shown_) {
    rows += std::max<std::size_t>(1, (shown_width(line) + width - 1) / width);
  }
  return rows > 1 ? "\r\x1b[" + std::to_string(rows - 1) + "A" : "\r";
}

// Both streams may be the same terminal.
void Console::write(std::FILE* stream, const std::string& text) {
  const bool in_line = std::exchange(in_line_, false);
  if (shown_.empty()) {
    if (in_line) std::fputs("\n", stderr);
    std::fputs(text.c_str(), stream);
    return;
  }
  std::fputs((to_first_line() + "\x1b[J").c_str(), stderr);
  std::fputs(text.c_str(), stream);
  std::fflush(stream);
  // Those of another width are not for this window.
  if (error_.size().columns != shown_columns_) return shown_.clear();
  std::string again;
  for (const std::string& line : shown_) again += (again.empty() ? "" : "\n") + line;
  std::fputs(again.c_str(), stderr);
}

void Console::show(std::vector<std::string> lines) {
  const std::lock_guard lock(mutex_);
  const std::size_t width = error_.size().columns;
  if (lines == shown_ && width == shown_columns_) return;
  in_line_ = false;
  shown_columns_ = width;
  std::string text = shown_.empty() ? "\r" : to_first_line();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) text += "\n";
    text += lines[i] + "\x1b[K";
  }
  // What stood below.
  std::fputs((text + "\x1b[J").c_str(), stderr);
  shown_ = std::move(lines);
}

void Console::settle(const std::string& line) {
  const std::lock_guard lock(mutex_);
  std::string text = shown_.empty() ? "" : to_first_line() + "\x1b[J";
  shown_.clear();
  std::fputs((text + line + "\n").c_str(), stderr);
}

}  // namespace cleave::cli
