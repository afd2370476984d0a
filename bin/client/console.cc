// SPDX-License-Identifier: MIT
#include "cleave/bin/client/console.h"

#include <poll.h>
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

// 0, or the errno of what failed. Whoever shares a stream with us may have made it non-blocking.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd room{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
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
  behind_interrupt_ = false;
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
  (void)write(STDERR_FILENO, json_line(line.object()) + "\n");
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
  (void)write(STDERR_FILENO, line);
}

void Console::on_interrupt() {
  const std::lock_guard lock(mutex_);
  behind_interrupt_ = error_.is_terminal() && !events_;
}

void Console::put(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (lost_ == 0) lost_ = write(STDOUT_FILENO, text);
}

int Console::finish_results() {
  int lost = 0;
  {
    const std::lock_guard lock(mutex_);
    lost = std::exchange(lost_, 0);
  }
  return lost == 0 ? kOk : report_status(local_error(lost, "cannot write standard output"));
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
int Console::write(int fd, std::string_view text) {
  const bool behind_interrupt = std::exchange(behind_interrupt_, false);
  if (shown_.empty()) {
    if (behind_interrupt) std::fputs("\n", stderr);
    return write_all(fd, text);
  }
  std::fputs((to_first_line() + "\x1b[J").c_str(), stderr);
  const int failed = write_all(fd, text);
  // Those of another width are not for this window.
  if (error_.size().columns != shown_columns_) {
    shown_.clear();
    return failed;
  }
  std::string again;
  for (const std::string& line : shown_) again += (again.empty() ? "" : "\n") + line;
  std::fputs(again.c_str(), stderr);
  return failed;
}

void Console::show(std::vector<std::string> lines) {
  const std::lock_guard lock(mutex_);
  const std::size_t width = error_.size().columns;
  if (lines == shown_ && width == shown_columns_) return;
  behind_interrupt_ = false;
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
