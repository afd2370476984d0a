// SPDX-License-Identifier: MIT
#include "cleave/bin/client/retries.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "cleave/bin/client/exit_status.h"

namespace cleave::cli {
namespace {

constexpr Millis kFirstDelay(500);
constexpr Millis kLongestDelay(30'000);
constexpr unsigned kDoublings = 6;  // from the first to more than the longest

}  // namespace

bool Retries::again(const Error& error) {
  if (exit_status(error.code) != kNetwork || count_ == options_.retries) return false;
  if (session_.interrupted()) return false;
  const Millis longest =
      std::min(kFirstDelay * (1U << std::min(count_, kDoublings)), kLongestDelay);
  std::uniform_int_distribution<Millis::rep> between(longest.count() / 2, longest.count());
  const Millis delay(between(chance_));
  ++count_;
  if (!settings_.quiet) {
    std::array<char, 64> when{};
    std::snprintf(when.data(), when.size(), "; try %u of %u in %.1f s", count_, options_.retries,
                  static_cast<double>(delay.count()) / 1000);
    progress_.say(stderr, error_line({error.code, error.message + when.data()}));
  }
  bool passed = false;
  Timer timer(session_.loop(), [&passed] { passed = true; });
  timer.start(delay);
  return session_.wait_interruptibly([&passed] { return passed; });
}

}  // namespace cleave::cli
