// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/bin/load/histogram.h"

namespace cleave::load {

// How often something went wrong, and the first time in words.
struct Failures {
  std::uint64_t count = 0;
  std::string first = {};

  void add(std::string_view sentence, std::uint64_t times = 1);
};

// What a run has found.
struct Measured {
  // The measured time, and what happened in it.
  double seconds = 0;
  std::uint64_t messages = 0;  // good replies
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t client_cpu_ns = 0;
  std::optional<std::uint64_t> server_cpu_ns = {};  // of the process that was named

  // What became of the requests that count from a time within it:
  // requests == latency.count() + errors + wrong + unanswered.
  std::uint64_t requests = 0;
  Histogram latency = {};                       // of the good replies
  std::map<std::string, Failures> errors = {};  // by code
  Failures wrong = {};
  std::uint64_t unanswered = 0;
  // Requests of a schedule that were due and never made, and for how long the oldest was late.
  std::uint64_t unsent = 0;
  double late_seconds = 0;

  Failures lost_connections = {};
  Failures warm_up_failures = {};  // errors and wrong replies before the measured time
  bool interrupted = false;

  // Errors of another code than these that came first are counted as "other".
  static constexpr std::size_t kCodes = 32;
  void add_error(std::string_view code, std::string_view message);
  [[nodiscard]] std::uint64_t error_count() const noexcept;

  // How much of the time the client's thread and the server's process were busy; 1 is one core.
  [[nodiscard]] double client_busy() const noexcept;
  [[nodiscard]] std::optional<double> server_busy() const noexcept;
  [[nodiscard]] double per_second(std::uint64_t count) const noexcept;
  [[nodiscard]] double per_message(std::uint64_t count) const noexcept;
};

}  // namespace cleave::load
