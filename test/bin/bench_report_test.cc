// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cleave/bin/load/figures.h"
#include "cleave/bin/load/report.h"

using namespace cleave::load;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// Two seconds in which all went well.
Measured good_run() {
  Measured measured;
  measured.seconds = 2;
  measured.messages = measured.requests = 1'000;
  for (int i = 0; i < 1'000; ++i) measured.latency.record(5'000);
  return measured;
}

}  // namespace

TEST_CASE("figures are written as people read them") {
  CHECK(grouped(std::uint64_t{0}) == "0");
  CHECK(grouped(std::uint64_t{999}) == "999");
  CHECK(grouped(std::uint64_t{1'234'567}) == "1,234,567");
  CHECK(grouped(0.25) == "0.2");
  CHECK(grouped(99'999.6) == "100,000");
  CHECK(duration(0) == "0.00 us");
  CHECK(duration(9'876) == "9.88 us");
  CHECK(duration(412'000) == "412 us");
  CHECK(duration(1'400'000) == "1.40 ms");
  CHECK(duration(999'400'000) == "999 ms");
  CHECK(duration(999'600'000) == "1.00 s");
  CHECK(duration(75 * kSecond) == "75.0 s");
  CHECK(size(0) == "0 B");
  CHECK(size(1'536) == "1.5 KiB");
  CHECK(size(8 * 1'024 * 1'024) == "8 MiB");
}

TEST_CASE("a client that was busy nearly all the time is told, as the server may be faster") {
  Measured measured = good_run();
  measured.client_cpu_ns = 2 * kSecond * 94 / 100;
  CHECK(remarks({}, measured).empty());
  measured.client_cpu_ns = 2 * kSecond * 96 / 100;
  const std::vector<std::string> said = remarks({}, measured);
  REQUIRE(said.size() == 1);
  CHECK(said[0] == "The client was busy 96 % of the time: the server may be faster than this.");
}

TEST_CASE("a rate that was missed is told, with what was never sent") {
  const Measured measured = good_run();
  CHECK(remarks({.rate = 502}, measured).empty());
  CHECK(remarks({.rate = 600}, measured) ==
        std::vector<std::string>{"Of 600 requests/s, 500 were answered well."});
  Measured late = good_run();
  late.unsent = 200;
  late.late_seconds = 1.5;
  const std::vector<std::string> said = remarks({.rate = 600}, late);
  REQUIRE(said.size() == 1);
  CHECK(said[0].find("200 that were due could not be sent, the oldest for 1.500 s") !=
        std::string::npos);
}

TEST_CASE("the exit status tells the worst that happened") {
  Measured measured = good_run();
  CHECK(verdict(measured).status == 0);
  measured.interrupted = true;
  CHECK(verdict(measured).status == 130);
  measured.unanswered = 1;
  CHECK(verdict(measured).status == 124);
  measured.lost_connections.add("gone");
  CHECK(verdict(measured).status == 5);
  CHECK(verdict(measured).sentence == "1 connection was lost: gone");
  measured.warm_up_failures.add("early");
  CHECK(verdict(measured).status == 1);
  measured.add_error("busy", "later");
  CHECK(verdict(measured).sentence == "1 request was answered with an error");
  measured.wrong.add("other bytes");
  measured.wrong.add("more");
  CHECK(verdict(measured).status == 1);
  CHECK(verdict(measured).sentence == "2 replies were wrong: other bytes");
}

TEST_CASE("a server that invents codes costs no memory for each") {
  Measured measured = good_run();
  for (int i = 0; i < 1'000; ++i) measured.add_error("code" + std::to_string(i), "");
  CHECK(measured.errors.size() == Measured::kCodes + 1);
  CHECK(measured.errors.at("other").count == 1'000 - Measured::kCodes);
  CHECK(measured.error_count() == 1'000);
}
