// SPDX-License-Identifier: MIT
#include "cleave/bin/load/histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

using cleave::load::Histogram;

namespace {

constexpr double kQuantiles[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

// The smallest number that at least so many of them do not exceed.
std::uint64_t exact_quantile(const std::vector<std::uint64_t>& sorted, double quantile) {
  const auto rank = std::ceil(quantile * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

// Of every size that a number can have, and more small ones than large ones.
std::vector<std::uint64_t> numbers(std::size_t count) {
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> made;
  while (made.size() < count) made.push_back(random() >> (random() % 64));
  return made;
}

}  // namespace

TEST_CASE("a histogram of nothing has zeros") {
  const Histogram histogram;
  CHECK(histogram.count() == 0);
  CHECK(histogram.max() == 0);
  for (const double quantile : kQuantiles) CHECK(histogram.value_at(quantile) == 0);
}

TEST_CASE("numbers below 128 are told exactly") {
  for (std::uint64_t number = 0; number < 128; ++number) {
    CAPTURE(number);
    Histogram histogram;
    histogram.record(number);
    histogram.record(1'000);
    CHECK(histogram.value_at(0.5) == number);
  }
}

TEST_CASE("any number is told as itself, or as at most 1/64 more") {
  for (const std::uint64_t number : numbers(10'000)) {
    CAPTURE(number);
    Histogram histogram;
    histogram.record(number);
    histogram.record(UINT64_MAX);
    const std::uint64_t told = histogram.value_at(0.5);
    CHECK(told >= number);
    CHECK(told - number <= number / 64);
  }
}

TEST_CASE("the numbers beside every power of two are told so as well") {
  for (unsigned power = 0; power < 64; ++power) {
    for (const std::uint64_t add : {UINT64_MAX, std::uint64_t{0}, std::uint64_t{1}}) {
      const std::uint64_t number = (std::uint64_t{1} << power) + add;
      CAPTURE(number);
      Histogram histogram;
      histogram.record(number);
      histogram.record(UINT64_MAX);
      CHECK(histogram.value_at(0.5) >= number);
      CHECK(histogram.value_at(0.5) - number <= number / 64);
    }
  }
}

TEST_CASE("quantiles are those of the sorted numbers, or at most 1/64 more") {
  std::vector<std::uint64_t> all = numbers(100'000);
  Histogram histogram;
  for (const std::uint64_t number : all) histogram.record(number);
  std::ranges::sort(all);
  CHECK(histogram.count() == all.size());
  CHECK(histogram.max() == all.back());
  for (const double quantile : kQuantiles) {
    CAPTURE(quantile);
    const std::uint64_t exact = exact_quantile(all, quantile);
    CHECK(histogram.value_at(quantile) >= exact);
    CHECK(histogram.value_at(quantile) - exact <= exact / 64);
  }
}

TEST_CASE("no quantile exceeds the largest number, which is exact") {
  Histogram histogram;
  histogram.record(1'000'003);
  for (const double quantile : kQuantiles) CHECK(histogram.value_at(quantile) == 1'000'003);
  CHECK(histogram.max() == 1'000'003);
}

TEST_CASE("one slow request of a thousand shows at p99.9 only when there are two") {
  Histogram histogram;
  for (int i = 0; i < 999; ++i) histogram.record(10);
  histogram.record(5'000'000);
  CHECK(histogram.value_at(0.999) == 10);
  histogram.record(5'000'000);
  CHECK(histogram.value_at(0.999) == 5'000'000);
  CHECK(histogram.value_at(0.99) == 10);
}

TEST_CASE("merged histograms are as one that recorded everything") {
  Histogram all;
  Histogram even;
  Histogram odd;
  for (const std::uint64_t number : numbers(10'000)) {
    all.record(number);
    (number % 2 == 0 ? even : odd).record(number);
  }
  even.merge(odd);
  CHECK(even.count() == all.count());
  CHECK(even.max() == all.max());
  for (const double quantile : kQuantiles) {
    CHECK(even.value_at(quantile) == all.value_at(quantile));
  }
}

TEST_CASE("a cleared histogram is as a new one") {
  Histogram histogram;
  histogram.record(77);
  histogram.clear();
  CHECK(histogram.count() == 0);
  CHECK(histogram.max() == 0);
  CHECK(histogram.value_at(1) == 0);
}
