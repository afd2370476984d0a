// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "cleave/core/observer.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {

// Counts everything that an Observer sees. Counters only grow, from the start of the process; two
// gauges (open connections, running requests) are differences of counters, the third is the memory
// that is held for peers, as it was told last. What is kept grows
// with the numbers of commands and of limits and never with what peers send.
class CLEAVE_API Metrics final : public Observer {
 public:
  // One count for each enumerator of E, of which `Last` is the last.
  template <typename E, E Last>
  class PerEnum {
   public:
    void add(E which) noexcept { ++counts_[static_cast<std::size_t>(which)]; }
    [[nodiscard]] std::uint64_t of(E which) const noexcept {
      return counts_[static_cast<std::size_t>(which)];
    }
    [[nodiscard]] std::uint64_t total() const noexcept {
      std::uint64_t sum = 0;
      for (std::uint64_t count : counts_) sum += count;
      return sum;
    }
    // The counts that are not zero, by their names.
    [[nodiscard]] Members members() const {
      Members members;
      for (std::size_t i = 0; i < counts_.size(); ++i) {
        if (counts_[i] != 0) members.set(to_string(static_cast<E>(i)), counts_[i]);
      }
      return members;
    }

   private:
    std::array<std::uint64_t, static_cast<std::size_t>(Last) + 1> counts_{};
  };

  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // All counters, as the command `stats` shows them (handlers/README.md describes each).
  [[nodiscard]] Members members() const;

  [[nodiscard]] std::uint64_t open_connections() const noexcept {
    return accepted_ - closed_.total();
  }
  [[nodiscard]] std::uint64_t running_requests() const noexcept { return begun_ - served_; }

  void on_accept(const Peer& peer) override;
  void on_shed(const Error& error) override;
  void on_datagram_dropped(const Peer& peer, DropReason reason) override;
  void on_request(const Peer& peer, std::string_view cmd) override;
  void on_served(const Served& served) override;
  void on_refused(const Peer& peer, std::string_view cmd, const Error& error) override;
  void on_cancel(const Peer& peer, std::string_view cmd, CancelReason reason) override;
  void on_limit(std::string_view limit) override;
  void on_memory(std::uint64_t bytes, std::uint64_t most) override;
  void on_protocol_error(const Peer& peer, const Error& error) override;
  void on_close(const Peer& peer, CloseReason reason, std::string_view detail,
                std::uint64_t bytes_in, std::uint64_t bytes_out) override;
  void on_pause(const Peer& peer) override;

 private:
  using PerCode = PerEnum<Errc, Errc::internal>;

  // Requests of one command that have ended.
  struct Command {
    std::uint64_t served = 0;
    PerCode errors;
    std::uint64_t body_in = 0;
    std::uint64_t body_out = 0;
    std::uint64_t duration_ms = 0;
  };

  std::uint64_t accepted_ = 0;
  PerCode shed_;
  PerEnum<CloseReason, CloseReason::broken_reply> closed_;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint64_t pauses_ = 0;
  std::uint64_t protocol_errors_ = 0;
  std::uint64_t memory_ = 0;
  std::uint64_t most_memory_ = 0;
  PerEnum<DropReason, DropReason::unsendable> datagrams_dropped_;

  std::uint64_t begun_ = 0;
  std::uint64_t served_ = 0;
  std::uint64_t one_way_ = 0;
  PerCode errors_;
  PerCode refused_;
  PerEnum<CancelReason, CancelReason::draining> cancelled_;
  std::map<std::string, Command, std::less<>> commands_;
  // The last that was served, of commands_: mostly the next one as well.
  std::pair<const std::string, Command>* last_served_ = nullptr;
  std::map<std::string_view, std::uint64_t> limits_;
};

}  // namespace v0
}  // namespace cleave
