// SPDX-License-Identifier: MIT
#include "cleave/bin/client/progress_line.h"

#include <doctest/doctest.h>

#include <string>

#include "cleave/bin/client/width.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

TransferState half() {
  return {.name = "albums/summer/photo.raw", .bytes = 5 * kMiB, .total = 10 * kMiB, .rate = 1e6};
}

Time at(std::int64_t milliseconds) {
  return Time(Millis(milliseconds));
}

}  // namespace

TEST_CASE("columns are those of a terminal: wide characters take two, what joins them none") {
  CHECK(width_of("") == 0);
  CHECK(width_of("abc") == 3);
  CHECK(width_of("grün") == 4);
  CHECK(width_of("粘包") == 4);
  CHECK(width_of("한글") == 4);
  CHECK(width_of("e\u0301") == 1);
  CHECK(width_of("\u200b") == 0);
  CHECK(width_of("😀") == 2);
  CHECK(width_of("☀\ufe0f") == 2);
  CHECK(width_of("…") == 1);
  // A family is one picture or three; three are more.
  CHECK(width_of("👨\u200d👩\u200d👧") == 6);
  CHECK(width_of("a\xff\xfe") == 3);
}

TEST_CASE("what is too long is cut in the middle, between characters") {
  CHECK(cut_middle("photo.raw", 9, "…") == "photo.raw");
  CHECK(cut_middle("photo.raw", 8, "…") == "pho….raw");
  CHECK(cut_middle("photo.raw", 8, "...") == "ph...raw");
  CHECK(cut_middle("photo.raw", 1, "…") == "…");
  CHECK(cut_middle("photo.raw", 2, "...").empty());
  CHECK(cut_middle("photo.raw", 0, "…").empty());
  CHECK(cut_middle("粘包粘包粘包", 6, "…") == "粘…包");
  CHECK(cut_middle("e\u0301e\u0301e\u0301e\u0301", 3, "…") == "e\u0301…e\u0301");
  for (std::size_t most = 0; most < 14; ++most) {
    CHECK(width_of(cut_middle("a粘b包e\u0301😀cd.raw", most, "…")) <= most);
  }
}

TEST_CASE("a terminal of another encoding gets ASCII") {
  CHECK(in_ascii("grün 粘.raw") == "gr?n ?.raw");
}

TEST_CASE("a line shows more the wider the window is") {
  const auto line = [](std::size_t width) { return running_line(half(), {.width = width}); };
  CHECK(line(20) == "albu....raw   50%");
  CHECK(line(30) == "albu...o.raw   50%     0:05");
  CHECK(line(60) == "albums...oto.raw  [####....]   50%   976.6 KiB/s     0:05");
  CHECK(line(80) ==
        "albu...o.raw  [####....]   50%     5.0 MiB of 10.0 MiB   976.6 KiB/s     0:05");
  CHECK(line(300) ==
        "albums/summer/photo.raw  [####################....................]   50%"
        "     5.0 MiB of 10.0 MiB   976.6 KiB/s     0:05");
}

TEST_CASE("no line wraps, nor does ^C behind it, whatever the window and the state") {
  TransferState unknown = half();
  unknown.total.reset();
  TransferState over = half();
  over.bytes = ~std::uint64_t{0};
  TransferState wide = half();
  wide.name = "粘包粘包粘包粘包粘包粘包粘包粘包😀e\u0301";
  TransferState slow = half();
  slow.total = ~std::uint64_t{0};
  slow.rate = 0.001;
  TransferState nameless = half();
  nameless.name.clear();
  for (const TransferState& state : {half(), unknown, over, wide, slow, nameless}) {
    for (std::size_t width = 1; width <= 300; ++width) {
      for (const bool utf8 : {false, true}) {
        const LineLook look{.width = width, .utf8 = utf8};
        for (const std::string& line : {running_line(state, look), file_line(state, look),
                                        ended_line(state, Millis(3'000), look)}) {
          const bool fits = line.empty() || width_of(line) + 2 < width;
          if (!fits) FAIL_CHECK(width << " columns: " << line);
        }
      }
    }
  }
}

TEST_CASE("columns keep their places while a transfer goes on") {
  TransferState state{.name = "a", .bytes = 0, .total = 1'000 * kMiB, .rate = 3};
  const std::size_t width = width_of(running_line(state, {.width = 80}));
  for (const std::uint64_t mib : {1U, 10U, 99U, 100U, 999U, 1'000U}) {
    state.bytes = mib * kMiB;
    state.rate *= 100;
    CHECK(width_of(running_line(state, {.width = 80})) == width);
  }
}

TEST_CASE("colours take no room") {
  const std::string plain = running_line(half(), {.width = 100});
  std::string coloured = running_line(half(), {.width = 100, .coloured = true});
  for (const char* escape : {"\x1b[32m", "\x1b[0m"}) {
    REQUIRE(coloured.find(escape) != std::string::npos);
    coloured.erase(coloured.find(escape), std::string(escape).size());
  }
  CHECK(coloured == plain);
}

TEST_CASE("the time that is left is said where it can be known") {
  TransferState state = half();
  CHECK(state.left() == Millis(5'242));
  state.rate = 0;
  CHECK_FALSE(state.left());
  CHECK(running_line(state, {}).ends_with("--:--"));
  state.stalled = true;
  CHECK(running_line(state, {}).ends_with("stalled"));
  state.rate = 1;
  state.stalled = false;
  CHECK(running_line(state, {}).ends_with("60d"));
  state.rate = 500;
  CHECK(running_line(state, {}).ends_with("2:54:45"));
  state.total.reset();
  CHECK_FALSE(state.left());
}

TEST_CASE("how it has ended: of how much, where something is missing, and no rate of nothing") {
  TransferState state = half();
  const auto line = [&state] { return ended_line(state, Millis(3'000), {}); };
  CHECK(line() == "albums/summer/photo.raw  5.0 MiB of 10.0 MiB  976.6 KiB/s  in 3.0 s");
  state.bytes = *state.total;
  CHECK(line() == "albums/summer/photo.raw  10.0 MiB  976.6 KiB/s  in 3.0 s");
  state.rate = 0;
  CHECK(line() == "albums/summer/photo.raw  10.0 MiB  in 3.0 s");
  state.rate = 1e6;
  state.bytes = 0;
  CHECK(line() == "albums/summer/photo.raw  0 B of 10.0 MiB  in 3.0 s");
}

TEST_CASE("a rate is that of the last seconds") {
  RateMeter meter;
  CHECK(meter.per_second() == 0);
  std::int64_t done = 0;
  for (int tick = 0; tick <= 100; ++tick) meter.add(at(tick * 100), done += 1'000);
  CHECK(meter.per_second() == doctest::Approx(10'000));
  for (int tick = 101; tick <= 160; ++tick) meter.add(at(tick * 100), done += 100);
  CHECK(meter.per_second() == doctest::Approx(1'000));
}

TEST_CASE("a transfer that stands still falls to nothing, and is said to be stalled") {
  RateMeter meter;
  meter.add(at(0), 0);
  meter.add(at(1'000), 1'000'000);
  CHECK(meter.per_second() == doctest::Approx(1'000'000));
  meter.add(at(3'900), 1'000'000);
  CHECK_FALSE(meter.stalled());
  meter.add(at(4'000), 1'000'000);
  CHECK(meter.stalled());
  CHECK(meter.per_second() == doctest::Approx(250'000));
  for (int second = 5; second <= 12; ++second) meter.add(at(second * 1'000), 1'000'000);
  CHECK(meter.per_second() == 0);
  meter.add(at(13'000), 1'000'001);
  CHECK_FALSE(meter.stalled());
}

TEST_CASE("bytes that were there already are no part of a rate") {
  RateMeter meter;
  meter.add(at(0), 0);
  meter.jump(1'000'000);
  meter.add(at(1'000), 1'000'010);
  CHECK(meter.per_second() == doctest::Approx(10));
}
