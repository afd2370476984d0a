// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>

namespace cleave::cli {

// A line on standard error that says how far all transfers of a command are: bytes, rate, remaining
// time. Shown only where standard error is a terminal, so that pipes and logs stay clean. May be
// used by several threads at once.
class Progress {
 public:
  Progress(const std::string& label, bool wanted);
  ~Progress();  // leaves the line as it stands and goes on to the next
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void set_label(const std::string& label);
  // Writes a line of text there, with the line of progress below it.
  void say(std::FILE* stream, const std::string& line);

 private:
  friend class ProgressShare;
  using Clock = std::chrono::steady_clock;
  struct Sample {
    Clock::time_point at;
    std::int64_t done;
  };
  void update(std::int64_t more, std::int64_t without_transfer, std::uint64_t more_expected);
  void draw();

  std::mutex mutex_;
  std::string label_;
  std::uint64_t total_ = 0;  // as peers say, so it may turn around
  std::int64_t done_ = 0;
  bool shown_;
  bool drawn_ = false;
  // The last seconds, so that the rate is that of now and not of the whole transfer.
  std::deque<Sample> samples_;
};

// What one transfer has done of the whole.
class ProgressShare {
 public:
  // `expected` bytes are in the whole already.
  explicit ProgressShare(Progress& progress, std::uint64_t expected = 0)
      : progress_(progress), total_(expected) {}

  // All the bytes of the transfer, as far as is known now.
  void expect(std::uint64_t total);
  // No more will come than has.
  void end() { expect(static_cast<std::uint64_t>(done_)); }
  // So many of them need no transfer, or no other one.
  void begin_at(std::uint64_t done);
  // So many of them have been transferred.
  void reach(std::uint64_t done);

 private:
  Progress& progress_;
  std::uint64_t total_;
  std::int64_t done_ = 0;
};

}  // namespace cleave::cli
