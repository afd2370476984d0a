// SPDX-License-Identifier: MIT
#include "cleave/bin/client/progress.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr auto kWindow = std::chrono::seconds(5);
constexpr std::size_t kBarWidth = 24;

std::string bar(double share) {
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
  return "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "]";
}

std::string duration(double seconds) {
  const auto whole = static_cast<long>(std::min(seconds, 359'999.0));
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%02ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                whole % 60);
  return text.data();
}

}  // namespace

Progress::Progress(const std::string& label, bool wanted)
    : label_(printable(label)), shown_(wanted && ::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (!drawn_) return;
  draw();
  std::fputc('\n', stderr);
}

void Progress::set_label(const std::string& label) {
  const std::lock_guard lock(mutex_);
  label_ = printable(label);
}

void Progress::say(std::FILE* stream, const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  std::fputs((line + "\n").c_str(), stream);
  if (drawn_) {
    std::fflush(stream);
    draw();
  }
}

void Progress::update(std::int64_t more, std::int64_t without_transfer,
                      std::uint64_t more_expected) {
  const std::lock_guard lock(mutex_);
  total_ += more_expected;
  done_ += more + without_transfer;
  for (Sample& sample : samples_) sample.done += without_transfer;
  const Clock::time_point now = Clock::now();
  if (!shown_ || (!samples_.empty() && now - samples_.back().at < kRedrawEvery)) return;
  samples_.push_back({now, done_});
  while (now - samples_.front().at > kWindow) samples_.pop_front();
  draw();
}

void Progress::draw() {
  drawn_ = true;
  const Sample& first = samples_.front();
  const double seconds = std::chrono::duration<double>(Clock::now() - first.at).count();
  const double rate = seconds > 0 ? static_cast<double>(done_ - first.done) / seconds : 0;
  std::string line = label_ + "  ";
  const double left = static_cast<double>(total_) - static_cast<double>(done_);
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    line += bar(share) + "  " + human_size(static_cast<double>(done_)) + " of " +
            human_size(static_cast<double>(total_));
  } else {
    line += human_size(static_cast<double>(done_));
  }
  if (rate > 0) {
    line += "  " + human_size(rate) + "/s";
    if (left > 0) line += "  " + duration(left / rate);
  }
  // Back to the first column, and whatever stood behind the new text is wiped.
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
}

void ProgressShare::expect(std::uint64_t total) {
  progress_.update(0, 0, total - std::exchange(total_, total));
}

void ProgressShare::begin_at(std::uint64_t done) {
  const auto now = static_cast<std::int64_t>(done);
  progress_.update(0, now - std::exchange(done_, now), 0);
}

void ProgressShare::reach(std::uint64_t done) {
  const auto now = static_cast<std::int64_t>(done);
  progress_.update(now - std::exchange(done_, now), 0, 0);
}

}  // namespace cleave::cli
