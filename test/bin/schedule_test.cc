// SPDX-License-Identifier: MIT
#include "cleave/bin/load/schedule.h"

#include <doctest/doctest.h>

using cleave::load::Schedule;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

}  // namespace

TEST_CASE("requests are due at equal distances, from the start on") {
  Schedule schedule(5 * kSecond, 4);
  CHECK(schedule.next_due() == 5 * kSecond);
  CHECK(schedule.take() == 5 * kSecond);
  CHECK(schedule.take() == 5 * kSecond + kSecond / 4);
  CHECK(schedule.next_due() == 5 * kSecond + kSecond / 2);
}

TEST_CASE("a request that is taken late still counts from when it was due") {
  Schedule schedule(0, 1'000);
  const std::uint64_t now = 10 * kSecond;
  std::uint64_t taken = 0;
  while (schedule.next_due() <= now) CHECK(schedule.take() == taken++ * kSecond / 1'000);
  CHECK(taken == 10'001);
}

TEST_CASE("the distances do not drift, where they are no whole nanoseconds") {
  Schedule schedule(0, 7);
  for (std::uint64_t second = 0; second < 10'000; ++second) {
    for (int i = 0; i < 7; ++i) {
      const std::uint64_t due = schedule.take();
      if (i == 0) {
        CHECK(due + 1 >= second * kSecond);
        CHECK(due <= second * kSecond + 1);
      }
    }
  }
}

TEST_CASE("what is due and was not taken is waiting") {
  Schedule schedule(kSecond, 10);
  CHECK(schedule.waiting(0) == 0);
  CHECK(schedule.waiting(kSecond - 1) == 0);
  CHECK(schedule.waiting(kSecond) == 1);
  CHECK(schedule.waiting(2 * kSecond) == 11);
  for (int i = 0; i < 4; ++i) schedule.take();
  CHECK(schedule.waiting(kSecond) == 0);
  CHECK(schedule.waiting(2 * kSecond) == 7);
}

TEST_CASE("less than one request a second can be asked for") {
  Schedule schedule(0, 0.5);
  schedule.take();
  CHECK(schedule.next_due() == 2 * kSecond);
}
