// SPDX-License-Identifier: MIT
#include "cleave/core/retry.h"

#include <algorithm>
#include <cassert>
#include <random>

namespace cleave {
inline namespace v0 {

bool may_pass(Errc code) noexcept {
  return code == Errc::busy || code == Errc::overloaded || code == Errc::unavailable ||
         code == Errc::protocol_error;
}

std::function<double()> system_chance() {
  return [generator = std::minstd_rand(std::random_device()())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(generator);
  };
}

Millis retry_delay(const RetryOptions& options, unsigned failures) {
  assert(failures > 0 && options.chance);
  Millis bound = std::min(options.first_delay, options.longest_delay);
  for (unsigned i = 1; i < failures && bound < options.longest_delay && bound > Millis(0); ++i) {
    bound = bound > options.longest_delay / 2 ? options.longest_delay : bound * 2;
  }
  return Millis(static_cast<Millis::rep>(static_cast<double>(bound.count()) * options.chance()));
}

}  // namespace v0
}  // namespace cleave
