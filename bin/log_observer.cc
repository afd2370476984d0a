// SPDX-License-Identifier: MIT
#include "cleave/bin/log_observer.h"

#include <utility>

namespace cleave {
inline namespace v0 {

bool LogObserver::Throttle::open(std::optional<std::uint64_t>& skipped) {
  // Enough to see what goes on, and a bounded number of megabytes a day.
  constexpr unsigned kLinesASecond = 20;
  const auto now = std::chrono::steady_clock::now();
  if (now - since_ >= std::chrono::seconds(1)) {
    since_ = now;
    written_ = 0;
  }
  if (++written_ > kLinesASecond) {
    ++skipped_;
    return false;
  }
  if (skipped_ > 0) skipped = std::exchange(skipped_, 0);
  return true;
}

void LogObserver::on_unlistening(std::string_view url) {
  log_.write(LogLevel::debug, "unlistening", {{"url", url}});
}

void LogObserver::on_accept(const Peer& peer) {
  log_.write(LogLevel::debug, "accept", {{"peer", peer.address}});
}

void LogObserver::on_shed(const Error& error) {
  std::optional<std::uint64_t> skipped;
  if (!sheds_.open(skipped)) return;
  log_.write(LogLevel::warning, "shed",
             {{"code", to_string(error.code)}, {"message", error.message}, {"skipped", skipped}});
}

void LogObserver::on_datagram_dropped(const Peer& peer, DropReason reason) {
  log_.write(LogLevel::debug, "datagram_dropped",
             {{"peer", peer.address}, {"reason", to_string(reason)}});
}

void LogObserver::on_request(const Peer& peer, std::string_view cmd) {
  if (!log_.wants(LogLevel::debug)) return;
  log_.write(LogLevel::debug, "request", {{"peer", peer.address}, {"cmd", cmd}});
}

// Nobody is told of a one-way request's outcome, so the log is the place to look for it.
void LogObserver::on_served(const Served& served) {
  const bool notable = served.code.has_value() || served.one_way;
  const LogLevel level = notable ? LogLevel::info : LogLevel::debug;
  if (!log_.wants(level)) return;
  log_.write(level, served.one_way ? "served_one_way" : "served",
             {{"peer", served.peer.address},
              {"cmd", served.cmd},
              {"id", served.id},
              {"code", served.code ? to_string(*served.code) : "ok"},
              {"body_in", served.body_in},
              {"body_out", served.body_out},
              {"duration_ms", static_cast<std::uint64_t>(served.duration.count())},
              {"message", served.message}});
}

void LogObserver::on_refused(const Peer& peer, std::string_view cmd, const Error& error) {
  std::optional<std::uint64_t> skipped;
  if (!refusals_.open(skipped)) return;
  log_.write(LogLevel::info, "refused",
             {{"peer", peer.address},
              {"cmd", cmd},
              {"code", to_string(error.code)},
              {"message", error.message},
              {"skipped", skipped}});
}

void LogObserver::on_cancel(const Peer& peer, std::string_view cmd, CancelReason reason) {
  log_.write(LogLevel::info, "cancel",
             {{"peer", peer.address}, {"cmd", cmd}, {"reason", to_string(reason)}});
}

void LogObserver::on_protocol_error(const Peer& peer, const Error& error) {
  std::optional<std::uint64_t> skipped;
  if (!protocol_errors_.open(skipped)) return;
  log_.write(LogLevel::warning, "protocol_error",
             {{"peer", peer.address}, {"message", error.message}, {"skipped", skipped}});
}

void LogObserver::on_close(const Peer& peer, CloseReason reason, std::string_view detail,
                           std::uint64_t bytes_in, std::uint64_t bytes_out) {
  const bool ordinary = reason == CloseReason::finished || reason == CloseReason::drained;
  log_.write(ordinary ? LogLevel::debug : LogLevel::info, "close",
             {{"peer", peer.address},
              {"reason", to_string(reason)},
              {"bytes_in", bytes_in},
              {"bytes_out", bytes_out},
              {"detail", detail}});
}

void LogObserver::on_pause(const Peer& peer) {
  log_.write(LogLevel::debug, "pause", {{"peer", peer.address}});
}

void LogObserver::on_resume(const Peer& peer) {
  log_.write(LogLevel::debug, "resume", {{"peer", peer.address}});
}

}  // namespace v0
}  // namespace cleave
