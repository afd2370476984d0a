// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/load/alarm.h"
#include "cleave/bin/load/body.h"
#include "cleave/bin/load/expectation.h"
#include "cleave/bin/load/live_line.h"
#include "cleave/bin/load/load_connection.h"
#include "cleave/bin/load/measured.h"
#include "cleave/bin/load/requests.h"
#include "cleave/bin/load/ring.h"
#include "cleave/bin/load/schedule.h"
#include "cleave/bin/load/settings.h"
#include "cleave/core/loop.h"

namespace cleave::load {

// One measurement: connects, warms up, measures, waits for what is in flight, and ends.
//
// In a closed loop each connection has `depth` requests in flight all the time: a slow server is
// asked less. In an open loop requests are due by a schedule, whatever becomes of them, and go to
// the connections in turn; where none has room they wait, and that counts as latency.
class Run final : public LoadConnection::Host {
 public:
  // All of these outlive it.
  Run(Loop& loop, const Settings& settings, const Requests& requests,
      const Expectation& expectation);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Once. An error where the server could not be connected to.
  [[nodiscard]] Result<Measured> measure();

  // Ends the measured time now, and at the second call everything.
  void interrupt();

 private:
  enum class Phase : std::uint8_t { connecting, warming_up, measuring, draining, done };
  // What moves all the time, as it was when the measured time began.
  struct Counters {
    std::uint64_t at = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t client_cpu = 0;
    std::optional<std::uint64_t> server_cpu = {};
  };

  void on_ok(std::uint64_t at) override;
  void on_error(std::uint64_t at, std::string_view code, std::string_view message) override;
  void on_wrong(std::uint64_t at, const std::string& sentence) override;
  void on_input() override { now_ = now_ns(); }
  void on_room(LoadConnection& connection) override;
  void on_lost(LoadConnection& connection, const std::string& sentence) override;

  void connect_more();
  void begin();
  void begin_measuring();
  void end_measuring();
  void finish();
  void finish_if_all_is_answered();
  void finish_if_all_are_lost();
  void on_second();

  [[nodiscard]] bool may_start() const noexcept;
  void start(LoadConnection& connection, std::uint64_t at);
  void fill(LoadConnection& connection);
  void follow_schedule();
  void offer(LoadConnection& connection);
  // A request has got its reply; true if it counts from the measured time.
  bool answered(std::uint64_t at) noexcept;
  [[nodiscard]] Counters counters() const;

  Loop& loop_;
  const Settings& settings_;
  Workplace workplace_;
  std::vector<std::unique_ptr<LoadConnection>> connections_;
  std::size_t connecting_ = 0;
  std::optional<Error> not_connected_;

  Phase phase_ = Phase::connecting;
  std::uint64_t now_ = 0;
  std::uint64_t in_flight_ = 0;
  std::uint64_t measured_from_ = UINT64_MAX;
  Counters before_;
  Measured result_;
  // Latencies since the last second began, which go into the result then.
  Histogram this_second_;
  std::uint64_t good_ = 0;  // replies, at any time
  LiveLine live_;
  std::uint64_t moved_bytes_ = 0;  // when something was moved last
  std::uint64_t moved_at_ = 0;

  // Of an open loop.
  std::optional<Schedule> schedule_;
  std::optional<Alarm> alarm_;
  Ring<LoadConnection*> with_room_;  // whose turn it is, each of them once
  std::vector<bool> is_with_room_;   // by its number
  std::vector<LoadConnection*> to_flush_;

  Timer phase_ends_;
  Timer second_;
};

}  // namespace cleave::load
