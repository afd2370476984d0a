// SPDX-License-Identifier: MIT
#include "cleave/bin/client/progress.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

constexpr Millis kRedrawEvery(100);
constexpr Millis kEventEvery(350);  // at most three a second
constexpr Millis kPlainLineEvery(5'000);
// Files that are shown one by one above the line of all.
constexpr std::size_t kFileLines = 8;

std::optional<Millis> interval(const Console& console) {
  if (console.live()) return kRedrawEvery;
  if (console.events()) return kEventEvery;
  if (console.plain()) return kPlainLineEvery;
  return std::nullopt;
}

}  // namespace

Progress::Progress(Loop& loop, Console& console, bool wanted)
    : loop_(loop),
      console_(console),
      wanted_(interval(console) && (wanted || console.events())),
      begun_(loop.now()),
      timer_(loop, [this] { tick(); }) {
  rate_.add(begun_, 0);
  if (wanted_) timer_.start(*interval(console));
}

void Progress::plan(std::size_t files, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  files_total_ = files;
  total_ += bytes;
  total_known_ = total_known_ || bytes > 0;
}

std::list<Progress::Share>::iterator Progress::add(const std::string& name,
                                                   std::uint64_t expected) {
  const std::lock_guard lock(mutex_);
  if (name_.empty()) name_ = printable(name);
  return shares_.insert(shares_.end(), Share{.name = printable(name), .total = expected});
}

// What has not come of it stays in the whole, and is missing in the end.
void Progress::drop(std::list<Share>::iterator share) {
  const std::lock_guard lock(mutex_);
  shares_.erase(share);
}

void Progress::complete(Share& share) {
  const std::lock_guard lock(mutex_);
  const auto done = static_cast<std::uint64_t>(share.done);
  total_ += done - std::exchange(share.total, done);
}

void Progress::expect(Share& share, std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  total_ += total - std::exchange(share.total, total);
  total_known_ = true;
}

void Progress::move(Share& share, std::uint64_t done, bool transferred) {
  const std::lock_guard lock(mutex_);
  const auto now = static_cast<std::int64_t>(done);
  const std::int64_t by = now - std::exchange(share.done, now);
  done_ += by;
  if (transferred) {
    transferred_ += by;
  } else {
    rate_.jump(by);
  }
}

void Progress::file_ended(const Members& line, bool well) {
  {
    const std::lock_guard lock(mutex_);
    ++files_;
    if (!well) ++failed_;
  }
  if (wanted_) console_.event("file", line);
}

void Progress::tick() {
  const Time now = loop_.now();
  {
    const std::lock_guard lock(mutex_);
    rate_.add(now, done_);
    show(now);
  }
  timer_.start(*interval(console_));
}

void Progress::show(Time now) {
  if (console_.events()) return tell("progress", now);
  shown_ = true;
  if (console_.plain()) return console_.settle(running_line(state_of_all(), look()));
  std::vector<std::string> lines;
  if (files_total_ > 1) {
    // They leave the half of the window to what is above.
    const std::size_t most = std::min(kFileLines, console_.error_terminal().size().rows / 2);
    for (const Share& share : shares_) {
      if (lines.size() + 1 >= most) break;
      TransferState one{.name = share.name, .bytes = static_cast<std::uint64_t>(share.done)};
      if (share.total > 0) one.total = share.total;
      lines.push_back(file_line(one, look()));
    }
  }
  lines.push_back(running_line(state_of_all(), look()));
  console_.show(std::move(lines));
}

void Progress::end() {
  timer_.stop();
  const std::lock_guard lock(mutex_);
  if (!wanted_ || std::exchange(ended_, true)) return;
  const Time now = loop_.now();
  if (console_.events()) return tell("end", now);
  // An error that came before anything else says enough.
  if (!shown_ && files_ == failed_) return;
  TransferState all = state_of_all();
  const Millis elapsed = now - begun_;
  all.rate = mean_rate(elapsed);
  console_.settle(ended_line(all, elapsed, look()));
}

void Progress::tell(std::string_view event, Time now) {
  const TransferState all = state_of_all();
  const Millis elapsed = now - begun_;
  Members line;
  line.set("files", files_).set("files_total", files_total_);
  if (event == "end") line.set("files_failed", failed_);
  line.set("bytes", all.bytes);
  line.set_raw("bytes_total", all.total ? std::to_string(*all.total) : "null");
  double rate = all.rate;
  if (event == "end") {
    rate = mean_rate(elapsed);
  } else {
    const std::optional<Millis> left = all.left();
    line.set_raw("eta_ms", left ? std::to_string(left->count()) : "null");
  }
  line.set("bytes_per_second", static_cast<std::int64_t>(rate));
  line.set("elapsed_ms", elapsed.count());
  console_.event(event, line);
}

double Progress::mean_rate(Millis elapsed) const {
  const auto millis = static_cast<double>(std::max<std::int64_t>(1, elapsed.count()));
  return static_cast<double>(std::max<std::int64_t>(0, transferred_)) * 1000 / millis;
}

TransferState Progress::state_of_all() const {
  // What has failed has not got there.
  std::string name = name_;
  if (files_total_ != 1) {
    name = std::to_string(files_ - failed_) + "/" + std::to_string(files_total_) + " files";
    if (failed_ > 0) name += ", " + std::to_string(failed_) + " failed";
  }
  TransferState all{.name = std::move(name),
                    .bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, done_)),
                    .rate = rate_.per_second(),
                    .stalled = rate_.stalled()};
  if (total_known_) all.total = total_;
  return all;
}

LineLook Progress::look() const {
  const Terminal& terminal = console_.error_terminal();
  return {.width = terminal.size().columns,
          .utf8 = terminal.utf8(),
          .coloured = console_.error_coloured()};
}

}  // namespace cleave::cli
