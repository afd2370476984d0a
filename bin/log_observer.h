// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "cleave/bin/log.h"
#include "cleave/core/observer.h"

namespace cleave {
inline namespace v0 {

// Logs what a server does, one line an event. What an operator wants to see of a healthy server is
// `info`; every request and connection is `debug`; what a peer or the system did wrong to the
// server is `warning`.
class LogObserver final : public Observer {
 public:
  // `log` outlives it.
  explicit LogObserver(Log& log) noexcept : log_(log) {}

  void on_unlistening(std::string_view url) override;
  void on_accept(const Peer& peer) override;
  void on_shed(const Error& error) override;
  void on_datagram_dropped(const Peer& peer, DropReason reason) override;
  void on_request(const Peer& peer, std::string_view cmd) override;
  void on_served(const Served& served) override;
  void on_refused(const Peer& peer, std::string_view cmd, const Error& error) override;
  void on_cancel(const Peer& peer, std::string_view cmd, CancelReason reason) override;
  void on_protocol_error(const Peer& peer, const Error& error) override;
  void on_close(const Peer& peer, CloseReason reason, std::string_view detail,
                std::uint64_t bytes_in, std::uint64_t bytes_out) override;
  void on_pause(const Peer& peer) override;
  void on_resume(const Peer& peer) override;

 private:
  // Lines that a peer can cause for next to nothing are so many a second at the most; the first one
  // behind a gap says how many there were in it.
  class Throttle {
   public:
    // Whether to write now, and how many were not written before.
    [[nodiscard]] bool open(std::optional<std::uint64_t>& skipped);

   private:
    std::chrono::steady_clock::time_point since_{};
    unsigned written_ = 0;
    std::uint64_t skipped_ = 0;
  };

  Log& log_;
  Throttle sheds_;
  Throttle refusals_;
  Throttle protocol_errors_;
};

}  // namespace v0
}  // namespace cleave
