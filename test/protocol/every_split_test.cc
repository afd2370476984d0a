// SPDX-License-Identifier: MIT
#include "cleave/testing/every_split.h"

#include <doctest/doctest.h>

using namespace cleave::testing;

namespace {

// Lines, by a decoder that forgets the rest of a piece behind its first line.
class ForgetfulLines final : public SplitSubject {
 public:
  void feed(std::string_view piece) override {
    held_ += piece;
    const std::size_t end = held_.find('\n');
    if (end == std::string::npos) return;
    text_ += '[' + held_.substr(0, end) + ']';
    held_.clear();
  }
  std::string transcript() override { return text_; }

 private:
  std::string held_;
  std::string text_;
};

// Lines, as they should be cut.
class Lines final : public SplitSubject {
 public:
  void feed(std::string_view piece) override {
    for (const char character : piece) {
      text_ += character == '\n' ? std::string("]") : std::string(1, character);
    }
  }
  std::string transcript() override { return text_; }

 private:
  std::string text_;
};

}  // namespace

TEST_CASE("a decoder that depends on the cuts is found, with the first cut that shows it") {
  const SplitReport report =
      every_split("ab\ncd\n", [] { return std::make_unique<ForgetfulLines>(); });
  CHECK(report.whole == "[ab]");
  CHECK(report.difference == "cut in two at byte 3:\n[ab][cd]instead of:\n[ab]");
}

TEST_CASE("a decoder that does not depend on the cuts is tried at every cut") {
  const SplitReport report = every_split("ab\ncd\n", [] { return std::make_unique<Lines>(); });
  CHECK(report.whole == "ab]cd]");
  CHECK(report.difference == "");
  CHECK(report.runs == 1 + 7 + 5 + 200);  // whole, in two, of every size, random
}

TEST_CASE("no bytes at all are a run as well") {
  const SplitReport report = every_split("", [] { return frame_subject(); });
  CHECK(report.whole == "");
  CHECK(report.difference == "");
}

TEST_CASE("where the input ends inside a frame, the transcript says so") {
  const std::string frame = std::string("\x0f\0\0\0", 4) + "{\"data_size\":3}abc";
  const auto whole = [&frame](std::size_t size) {
    return every_split(frame.substr(0, size), [] { return frame_subject(); }).whole;
  };
  CHECK(whole(0) == "");
  CHECK(whole(1) == "inside a header\n");
  CHECK(whole(4) == "inside a header\n");
  CHECK(whole(18) == "inside a header\n");
  CHECK(whole(19) == "head {\"data_size\":3}\ninside a body, 3 to come\n");
  CHECK(whole(21) == "head {\"data_size\":3}\nbody ab\ninside a body, 1 to come\n");
  CHECK(whole(22) == "head {\"data_size\":3}\nbody abc\nend\n");
}
