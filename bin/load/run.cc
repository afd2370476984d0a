// SPDX-License-Identifier: MIT
#include "cleave/bin/load/run.h"

#include <algorithm>
#include <utility>

#include "cleave/bin/load/cpu_time.h"
#include "cleave/core/connect.h"

namespace cleave::load {
namespace {

// Below a usual backlog of a listener, as what is beyond it would wait for a second.
constexpr std::size_t kConnectingAtOnce = 100;
// Requests of a schedule are made in batches that are at least so far apart: one wake-up takes a
// microsecond or two, and the client is to have time for replies.
constexpr std::uint64_t kFinestNs = 20'000;
constexpr Millis kSecond(1'000);

}  // namespace

Run::Run(Loop& loop, const Settings& settings, const Requests& requests,
         const Expectation& expectation)
    : loop_(loop),
      settings_(settings),
      workplace_(requests, expectation),
      with_room_(settings.connections),
      is_with_room_(settings.connections),
      phase_ends_(loop,
                  [this] {
                    if (phase_ == Phase::warming_up) {
                      begin_measuring();
                    } else if (phase_ == Phase::measuring) {
                      end_measuring();
                    } else {
                      finish();
                    }
                  }),
      second_(loop, [this] { on_second(); }) {}

Result<Measured> Run::measure() {
  if (settings_.rate) {
    Result<Alarm> alarm = Alarm::create(loop_, [this] { follow_schedule(); });
    if (!alarm) return fail(alarm.error());
    alarm_ = *std::move(alarm);
    to_flush_.reserve(settings_.connections);
  }
  connections_.reserve(settings_.connections);
  connect_more();
  loop_.run();
  if (not_connected_) return fail(*not_connected_);
  result_.latency.merge(this_second_);
  result_.unanswered =
      result_.requests - result_.latency.count() - result_.error_count() - result_.wrong.count;
  return std::move(result_);
}

void Run::interrupt() {
  result_.interrupted = true;
  if (phase_ == Phase::connecting) {
    not_connected_ = Error{Errc::cancelled, "interrupted before all connections were there"};
    finish();
  } else if (phase_ == Phase::measuring) {
    end_measuring();
  } else {
    finish();
  }
}

// ---- Phases -------------------------------------------------------------------------------------

void Run::connect_more() {
  while (connecting_ < kConnectingAtOnce &&
         connections_.size() + connecting_ < settings_.connections) {
    ++connecting_;
    connect_stream(loop_, settings_.endpoint, settings_.timeout,
                   [this](Result<std::unique_ptr<Stream>> stream) {
                     if (phase_ != Phase::connecting) return;
                     --connecting_;
                     if (!stream) {
                       not_connected_ = stream.error();
                       return finish();
                     }
                     connections_.push_back(std::make_unique<LoadConnection>(
                         *this, workplace_, *std::move(stream), connections_.size()));
                     if (connections_.size() == settings_.connections) return begin();
                     connect_more();
                   });
  }
}

void Run::begin() {
  now_ = moved_at_ = now_ns();
  live_.begin({.now = now_});
  second_.start(kSecond);
  if (settings_.warm_up > Millis(0)) {
    phase_ = Phase::warming_up;
    phase_ends_.start(settings_.warm_up);
  } else {
    begin_measuring();
  }
  if (settings_.rate) schedule_.emplace(now_, *settings_.rate);
  for (const auto& connection : connections_) on_room(*connection);
  finish_if_all_are_lost();
}

void Run::begin_measuring() {
  phase_ = Phase::measuring;
  this_second_.clear();
  before_ = counters();
  now_ = measured_from_ = before_.at;
  if (settings_.duration) phase_ends_.start(*settings_.duration);
}

void Run::end_measuring() {
  const Counters after = counters();
  result_.seconds = static_cast<double>(after.at - before_.at) / 1e9;
  result_.sent_bytes = after.sent_bytes - before_.sent_bytes;
  result_.received_bytes = after.received_bytes - before_.received_bytes;
  result_.client_cpu_ns = after.client_cpu - before_.client_cpu;
  if (before_.server_cpu && after.server_cpu) {
    result_.server_cpu_ns = *after.server_cpu - *before_.server_cpu;
  }
  if (schedule_ && may_start()) {
    result_.unsent = schedule_->waiting(after.at);
    if (settings_.requests) {
      result_.unsent = std::min(result_.unsent, *settings_.requests - result_.requests);
    }
    if (result_.unsent > 0) {
      result_.late_seconds = static_cast<double>(after.at - schedule_->next_due()) / 1e9;
    }
  }
  phase_ = Phase::draining;
  phase_ends_.start(settings_.timeout);
  finish_if_all_is_answered();
}

void Run::finish_if_all_is_answered() {
  if (phase_ == Phase::measuring && in_flight_ == 0 && !may_start()) return end_measuring();
  if (phase_ == Phase::draining && in_flight_ == 0) finish();
}

void Run::finish_if_all_are_lost() {
  if (result_.lost_connections.count < connections_.size()) return;
  if (phase_ == Phase::measuring) end_measuring();
  finish();
}

void Run::finish() {
  phase_ = Phase::done;
  loop_.stop();
}

void Run::on_second() {
  second_.start(kSecond);
  const std::uint64_t now = now_ns();
  const std::uint64_t bytes = workplace_.sent_bytes + workplace_.received_bytes;
  live_.show({.now = now,
              .messages = good_,
              .bytes = bytes,
              .failures = result_.error_count() + result_.wrong.count +
                          result_.warm_up_failures.count + result_.lost_connections.count},
             this_second_, phase_ == Phase::measuring);
  if (phase_ != Phase::warming_up) result_.latency.merge(this_second_);
  this_second_.clear();
  if (std::exchange(moved_bytes_, bytes) != bytes) moved_at_ = now;
  // Where a number of requests is all that ends the run, silence has to as well.
  const auto silence = std::chrono::nanoseconds(now - moved_at_);
  if (!settings_.duration && in_flight_ > 0 && silence >= settings_.timeout) {
    if (phase_ == Phase::measuring) end_measuring();
    finish();
  }
}

Run::Counters Run::counters() const {
  return {.at = now_ns(),
          .sent_bytes = workplace_.sent_bytes,
          .received_bytes = workplace_.received_bytes,
          .client_cpu = cpu_time_of_this_thread(),
          .server_cpu = settings_.pid ? cpu_time_of(*settings_.pid) : std::nullopt};
}

// ---- Requests -----------------------------------------------------------------------------------

bool Run::may_start() const noexcept {
  if (phase_ == Phase::warming_up) return true;
  return phase_ == Phase::measuring &&
         (!settings_.requests || result_.requests < *settings_.requests);
}

void Run::start(LoadConnection& connection, std::uint64_t at) {
  connection.start(at);
  ++in_flight_;
  if (at >= measured_from_) ++result_.requests;
}

void Run::on_room(LoadConnection& connection) {
  if (schedule_) {
    offer(connection);
    follow_schedule();
  } else {
    fill(connection);
  }
  finish_if_all_is_answered();
}

void Run::fill(LoadConnection& connection) {
  while (may_start() && connection.has_room()) start(connection, now_);
  connection.flush();
}

void Run::offer(LoadConnection& connection) {
  if (!connection.has_room() || is_with_room_[connection.number()]) return;
  is_with_room_[connection.number()] = true;
  with_room_.push(&connection);
}

void Run::follow_schedule() {
  if (!may_start()) return;
  now_ = now_ns();
  while (!with_room_.empty() && schedule_->next_due() <= now_ && may_start()) {
    LoadConnection& connection = *with_room_.pop();
    is_with_room_[connection.number()] = false;
    if (!connection.has_room()) continue;  // it was lost meanwhile
    if (!connection.queued()) to_flush_.push_back(&connection);
    start(connection, schedule_->take());
    offer(connection);
  }
  for (LoadConnection* connection : to_flush_) connection->flush();
  to_flush_.clear();
  if (with_room_.empty() || !may_start()) {
    alarm_->stop();
  } else {
    alarm_->set(std::max(schedule_->next_due(), now_ + kFinestNs));
  }
}

// ---- What becomes of them -----------------------------------------------------------------------

bool Run::answered(std::uint64_t at) noexcept {
  --in_flight_;
  return at >= measured_from_;
}

void Run::on_ok(std::uint64_t at) {
  const bool counts = answered(at);
  ++good_;
  if (phase_ == Phase::measuring) ++result_.messages;
  if (counts || phase_ == Phase::warming_up) this_second_.record(now_ - at);
}

void Run::on_error(std::uint64_t at, std::string_view code, std::string_view message) {
  if (answered(at)) {
    result_.add_error(code, message);
  } else {
    result_.warm_up_failures.add(std::string(code) + ": " + std::string(message));
  }
}

void Run::on_wrong(std::uint64_t at, const std::string& sentence) {
  (answered(at) ? result_.wrong : result_.warm_up_failures).add(sentence);
}

void Run::on_lost(LoadConnection& connection, const std::string& sentence) {
  in_flight_ -= connection.in_flight();
  // When all is done, a server may close what nothing runs on.
  if (phase_ == Phase::done || (phase_ == Phase::draining && connection.in_flight() == 0)) return;
  result_.lost_connections.add(sentence);
  if (phase_ == Phase::connecting) return;
  finish_if_all_is_answered();
  finish_if_all_are_lost();
}

}  // namespace cleave::load
