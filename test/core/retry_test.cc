// SPDX-License-Identifier: MIT
#include "cleave/core/retry.h"

#include <doctest/doctest.h>

using namespace cleave;

TEST_CASE("the bound of a wait doubles from failure to failure, up to the longest") {
  RetryOptions options{.first_delay = Millis(100), .longest_delay = Millis(1'000)};
  options.chance = [] { return 0.5; };
  CHECK(retry_delay(options, 1) == Millis(50));
  CHECK(retry_delay(options, 2) == Millis(100));
  CHECK(retry_delay(options, 4) == Millis(400));
  CHECK(retry_delay(options, 5) == Millis(500));
  CHECK(retry_delay(options, 4'000'000'000U) == Millis(500));
}

TEST_CASE("chance takes all of a wait, or next to nothing of it") {
  RetryOptions options{.first_delay = Millis(1'000)};
  options.chance = [] { return 0.0; };
  CHECK(retry_delay(options, 1) == Millis(0));
  options.chance = [] { return 0.9999; };
  CHECK(retry_delay(options, 1) == Millis(999));
}

TEST_CASE("no wait is longer than the longest, though the first would be") {
  RetryOptions options{.first_delay = Millis(1'000), .longest_delay = Millis(10)};
  options.chance = [] { return 0.5; };
  CHECK(retry_delay(options, 1) == Millis(5));
  options.first_delay = Millis(0);
  CHECK(retry_delay(options, 100) == Millis(0));
}

TEST_CASE("the system's chance is a share, and not always the same") {
  const auto chance = system_chance();
  const double first = chance();
  bool another = false;
  for (int i = 0; i < 1'000; ++i) {
    const double share = chance();
    REQUIRE(share >= 0);
    REQUIRE(share < 1);
    another = another || share != first;
  }
  CHECK(another);
}

TEST_CASE("what may pass is what a server or the network cannot do just now") {
  CHECK(may_pass(Errc::busy));
  CHECK(may_pass(Errc::overloaded));
  CHECK(may_pass(Errc::unavailable));
  CHECK(may_pass(Errc::protocol_error));
  CHECK_FALSE(may_pass(Errc::deadline_exceeded));
  CHECK_FALSE(may_pass(Errc::not_found));
  CHECK_FALSE(may_pass(Errc::io_error));
}
