// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "cleave/core/time.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/error.h"

namespace cleave {
inline namespace v0 {

// How often something is tried that a server or the network could not do just now, and how long is
// waited before each further time: a time that chance picks between nothing and a bound, which
// doubles from time to time up to `longest_delay`. All of it is left to chance, not a part, because
// clients that failed together would else come back together, and fail together again.
struct RetryOptions {
  // The first time included; 1: never again, and 0 means 1. Four bridge a server that starts anew.
  unsigned attempts = 4;
  // The bound before the second time; what is short passes soon.
  Millis first_delay = Millis(100);
  // No bound is above this; whoever waits longer wants to be told instead.
  Millis longest_delay = Millis(10'000);
  // Picks: at least 0 and below 1. Null: a generator of its own, begun by the system.
  std::function<double()> chance = {};
};

// Whether the same request may have another outcome in a moment: `busy`, `overloaded`,
// `unavailable` and, as a new connection is what it asks for, `protocol_error`.
[[nodiscard]] CLEAVE_API bool may_pass(Errc code) noexcept;

// What chance picks where nobody gives another: a generator that the system begins.
[[nodiscard]] CLEAVE_API std::function<double()> system_chance();

// How long to wait when something has failed `failures` times, at least once. `options.chance` is
// not null.
[[nodiscard]] CLEAVE_API Millis retry_delay(const RetryOptions& options, unsigned failures);

}  // namespace v0
}  // namespace cleave
