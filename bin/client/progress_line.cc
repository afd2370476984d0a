// SPDX-License-Identifier: MIT
#include "cleave/bin/client/progress_line.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "cleave/bin/client/text.h"
#include "cleave/bin/client/width.h"

namespace cleave::cli {
namespace {

constexpr Millis kWindow(5'000);
constexpr Millis kStalled(3'000);

constexpr std::size_t kSpareColumns = 3;
constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastName = 12;  // beside more than the two fields of most worth
constexpr std::size_t kVeryLeastName = 4;
constexpr std::size_t kLeastBar = 10;
constexpr std::size_t kMostBar = 42;

// A part of a line. What has the lowest worth goes first where room is short.
struct Field {
  std::string text;
  std::size_t width;  // which it keeps, right-aligned
  int worth;
};

std::string clock_time(Millis time) {
  const auto seconds = static_cast<long long>(time.count() / 1000);
  std::array<char, 48> text{};
  if (seconds >= 100 * 3'600) {
    std::snprintf(text.data(), text.size(), "%lldd", std::min(seconds / 86'400, 99'999LL));
  } else if (seconds >= 3'600) {
    std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", seconds / 3'600,
                  seconds / 60 % 60, seconds % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%lld:%02lld", seconds / 60, seconds % 60);
  }
  return text.data();
}

std::string size_of(std::uint64_t bytes) {
  return human_size(static_cast<double>(bytes));
}

std::string bar(double share, std::size_t width, bool coloured) {
  const std::size_t room = width - 2;
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(room));
  const std::string done(filled, '#');
  return "[" + (coloured && filled > 0 ? "\x1b[32m" + done + "\x1b[0m" : done) +
         std::string(room - filled, '.') + "]";
}

double share_of(const TransferState& state) {
  if (!state.total) return 0;
  if (state.bytes >= *state.total) return 1;
  return static_cast<double>(state.bytes) / static_cast<double>(*state.total);
}

Field percent(const TransferState& state) {
  return {std::to_string(static_cast<int>(share_of(state) * 100)) + "%", 4, 4};
}

std::size_t fields_width(const std::vector<Field>& fields) {
  std::size_t width = 0;
  for (const Field& field : fields) width += kGap + std::max(width_of(field.text), field.width);
  return width;
}

// The name in front, then a bar if there is to be one, and the fields.
std::string compose(std::string name, std::vector<Field> fields, std::optional<double> share,
                    const LineLook& look) {
  if (!look.utf8) name = in_ascii(name);
  const std::size_t room = look.width - std::min(look.width, kSpareColumns);
  const std::size_t name_width = width_of(name);
  const auto least = [&] {
    return std::min(name_width, fields.size() > 2 ? kLeastName : kVeryLeastName);
  };
  while (fields.size() > 1 && least() + fields_width(fields) > room) {
    fields.erase(std::ranges::min_element(fields, {}, &Field::worth));
  }
  const std::size_t taken = fields_width(fields);
  std::size_t free = room > taken ? room - taken : 0;
  const bool barred = share && free >= least() + kGap + kLeastBar;
  if (barred) free -= kGap + kLeastBar;
  std::string line = cut_middle(name, free, look.utf8 ? "…" : "...");
  free -= width_of(line);
  if (barred) {
    const std::size_t more = std::min(free, kMostBar - kLeastBar);
    free -= more;
    line += std::string(kGap, ' ') + bar(*share, kLeastBar + more, look.coloured);
  }
  for (const Field& field : fields) {
    const std::size_t width = width_of(field.text);
    if (!line.empty()) line.append(kGap, ' ');
    line.append(std::max(width, field.width) - width, ' ');
    line += field.text;
  }
  if (width_of(line) > room && !barred) return cut_middle(line, room, "");
  return line;
}

}  // namespace

void RateMeter::add(Time now, std::int64_t done) {
  if (samples_.empty() || samples_.back().done != done) moved_ = now;
  samples_.push_back({now, done});
  while (samples_.size() > 2 && now - samples_.front().at > kWindow) samples_.pop_front();
}

void RateMeter::jump(std::int64_t by) {
  for (Sample& sample : samples_) sample.done += by;
}

double RateMeter::per_second() const {
  if (samples_.size() < 2) return 0;
  const Millis time = samples_.back().at - samples_.front().at;
  if (time <= Millis(0)) return 0;
  const auto done = static_cast<double>(samples_.back().done - samples_.front().done);
  return std::max(0.0, done * 1000 / static_cast<double>(time.count()));
}

bool RateMeter::stalled() const {
  return !samples_.empty() && samples_.back().at - moved_ >= kStalled;
}

std::optional<Millis> TransferState::left() const {
  constexpr double kMost = 1e12;
  if (!total || rate <= 0) return std::nullopt;
  if (bytes >= *total) return Millis(0);
  const double millis = static_cast<double>(*total - bytes) * 1000 / rate;
  return Millis(static_cast<std::int64_t>(std::min(millis, kMost)));
}

std::string running_line(const TransferState& state, const LineLook& look) {
  std::vector<Field> fields;
  if (state.total) {
    fields.push_back(percent(state));
    fields.push_back({size_of(state.bytes) + " of " + size_of(*state.total), 22, 1});
  } else {
    fields.push_back({size_of(state.bytes), 10, 4});
  }
  fields.push_back({human_size(state.rate) + "/s", 12, 2});
  const std::optional<Millis> left = state.left();
  fields.push_back({state.stalled ? "stalled" : (left ? clock_time(*left) : "--:--"), 7, 3});
  return compose(state.name, std::move(fields),
                 state.total ? std::optional(share_of(state)) : std::nullopt, look);
}

std::string file_line(const TransferState& state, const LineLook& look) {
  std::vector<Field> fields;
  if (state.total) fields.push_back(percent(state));
  fields.push_back({size_of(state.total.value_or(state.bytes)), 10, 1});
  return compose("  " + state.name, std::move(fields), std::nullopt, look);
}

std::string ended_line(const TransferState& state, Millis elapsed, const LineLook& look) {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.1f s",
                static_cast<double>(elapsed.count()) / 1000);
  const bool whole = !state.total || state.bytes >= *state.total;
  std::vector<Field> fields = {
      {whole ? size_of(state.bytes) : size_of(state.bytes) + " of " + size_of(*state.total), 0, 3},
      {"in " + (elapsed < Millis(60'000) ? seconds.data() : clock_time(elapsed)), 0, 2}};
  // Nothing has no rate.
  if (state.bytes > 0 && state.rate > 0) {
    fields.insert(fields.begin() + 1, {human_size(state.rate) + "/s", 0, 1});
  }
  return compose(state.name, std::move(fields), std::nullopt, look);
}

}  // namespace cleave::cli
