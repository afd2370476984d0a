// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace cleave::cli {

// A line on standard error that says how far a transfer is: bytes, rate, remaining time. Shown only
// where standard error is a terminal, so that pipes and logs stay clean.
class Progress {
 public:
  Progress(const std::string& label, bool wanted);
  ~Progress();  // leaves the line as it stands and goes on to the next
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void set_total(std::uint64_t total) { total_ = total; }
  void update(std::uint64_t done);

 private:
  using Clock = std::chrono::steady_clock;
  struct Sample {
    Clock::time_point at;
    std::uint64_t done;
  };
  void draw();

  std::string label_;
  std::optional<std::uint64_t> total_;
  std::uint64_t done_ = 0;
  bool shown_;
  bool drawn_ = false;
  // The last seconds, so that the rate is that of now and not of the whole transfer.
  std::deque<Sample> samples_;
};

}  // namespace cleave::cli
