// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/client/settings.h"
#include "cleave/bin/client/terminal.h"
#include "cleave/core/time.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/members.h"

namespace cleave::cli {

// What the client says: results on standard output, and on standard error all the rest, as lines
// for a person or as objects for a program (`--progress json`). Below the lines, a terminal may
// have some that are drawn anew. One for the process. Several threads may use it at once, and wait
// for each other where a stream does not take anything.
class Console {
 public:
  Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Does as the user wants it from now on. Not while other threads use it.
  void set_up(const Settings& settings);
  // Whether lines that are drawn anew can be shown, and are wanted.
  [[nodiscard]] bool live() const noexcept { return live_; }
  // Whether plain lines are to tell of progress.
  [[nodiscard]] bool plain() const noexcept { return plain_; }
  // Whether standard error is for a program to read.
  [[nodiscard]] bool events() const noexcept { return events_; }
  [[nodiscard]] const Terminal& error_terminal() const noexcept { return error_; }
  [[nodiscard]] const Terminal& output_terminal() const noexcept { return output_; }
  // Whether there are colours on standard error, or standard output.
  [[nodiscard]] bool error_coloured() const noexcept { return error_coloured_; }
  [[nodiscard]] bool output_coloured() const noexcept { return output_coloured_; }

  // Says an error: `cleave: CODE: sentence`.
  void report(const Error& error);
  // Says it, and gives its exit status.
  [[nodiscard]] int report_status(const Error& error);
  // Says a sentence of another kind, `cleave: sentence`; one that warns is marked.
  void remark(std::string_view sentence);
  void warn(std::string_view sentence);
  // Says that something is tried again, for the `failures`th time of at most `retries`; of a file,
  // of which.
  void say_retry(const Error& error, unsigned failures, unsigned retries, Millis delay,
                 const std::string& file = {});
  // Says that a file is gone on with, behind so many bytes that are there.
  void say_resumed(const std::string& name, std::uint64_t offset);
  // An object, for programs alone.
  void event(std::string_view name, const Members& members);

  // Ctrl-C came: where the terminal shows it, the next line begins below.
  void on_interrupt();

  // More of the results, on standard output; print() adds the end of a line. Waits until it is
  // written. After a failure nothing more is.
  void put(std::string_view text);
  void print(std::string line) { put(line += '\n'); }
  // Ends the results: kOk, or what kept them from being written.
  [[nodiscard]] int finish_results();

  // Shows lines below all others, in place of those that it showed before.
  void show(std::vector<std::string> lines);
  // Has a line stand for good, in place of those that are shown.
  void settle(const std::string& line);

 private:
  void say(std::string_view prefix, std::string_view colour, std::string_view sentence);
  [[nodiscard]] int write(int fd, std::string_view text);
  [[nodiscard]] std::string to_first_line() const;

  Terminal error_;
  Terminal output_;
  bool live_ = false;
  bool plain_ = false;
  bool events_ = false;
  bool error_coloured_ = false;
  bool output_coloured_ = false;

  std::mutex mutex_;
  int lost_ = 0;  // what kept results from being written, as an errno
  std::vector<std::string> shown_;
  std::size_t shown_columns_ = 0;  // of the window at that time
  bool behind_interrupt_ = false;  // the cursor is behind a `^C`
};

}  // namespace cleave::cli
