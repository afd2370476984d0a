// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"

namespace cleave {
inline namespace v0 {

// Every limit of a server. Each has one name: here, in the configuration file, and in `limits`.
// All are counts, bytes or milliseconds, and in effect for what begins after they were changed.
struct Limits {
  std::uint64_t header_bytes = 65'536;
  std::uint64_t header_depth = 16;
  std::uint64_t header_values = 1'024;
  std::uint64_t header_key_bytes = 64;
  std::uint64_t max_connections = 10'000;
  std::uint64_t max_connections_per_address = 64;
  std::uint64_t max_connections_per_loopback_address = 1'000'000;
  std::uint64_t max_in_flight = 256;
  std::uint64_t max_refused_per_minute = 1'000;
  std::uint64_t memory_bytes = 256 * 1024 * 1024;
  std::uint64_t window_bytes = 2 * 1024 * 1024;
  std::uint64_t output_bytes = 1024 * 1024;
  std::uint64_t output_hard_bytes = 64 * 1024 * 1024;
  std::uint64_t collected_body_bytes = 16 * 1024 * 1024;
  std::uint64_t collected_reply_bytes = 16 * 1024 * 1024;
  std::uint64_t frame_bytes = 1024 * 1024;
  std::uint64_t body_rate_bytes = 1'000;
  std::uint64_t body_grace_ms = 20'000;
  std::uint64_t header_timeout_ms = 10'000;
  std::uint64_t idle_timeout_ms = 300'000;
  std::uint64_t write_stall_timeout_ms = 60'000;
  std::uint64_t request_timeout_ms = 3'600'000;
  std::uint64_t ready_timeout_ms = 10'000;
  std::uint64_t discard_timeout_ms = 10'000;
  std::uint64_t linger_timeout_ms = 10'000;
  std::uint64_t overload_timeout_ms = 5'000;
  std::uint64_t cancel_grace_ms = 5'000;
  std::uint64_t drain_timeout_ms = 30'000;

  [[nodiscard]] CLEAVE_API HeaderLimits header() const noexcept;
};

// A limit's name, where it is kept, the range it may be set to, and why it has its default.
// Handlers that have limits of their own describe them in the same way.
template <typename Options>
struct LimitOf {
  std::string_view name;
  std::uint64_t Options::*field;
  std::uint64_t min;
  std::uint64_t max;
  std::string_view reason;
};
using LimitInfo = LimitOf<Limits>;
// All of them, in the order of the struct. Static storage.
[[nodiscard]] CLEAVE_API std::span<const LimitInfo> limit_table() noexcept;

}  // namespace v0
}  // namespace cleave
