// SPDX-License-Identifier: MIT
#pragma once
// Internal: what a listener offers to those who reach it.

#include <algorithm>
#include <cstdint>
#include <limits>

#include "cleave/core/endpoint.h"
#include "cleave/core/router.h"
#include "cleave/protocol/result.h"
#include "cleave/protocol/wire.h"

namespace cleave {
inline namespace v0 {

struct Service {
  Wire wire = Wire::frame;
  // Which command the messages of a bare wire are for; null on the wire frame. Outlives whoever
  // holds this, as the router outlives the server.
  const Router::Command* command = nullptr;
  // What one read is cut at on the wire raw, and the most that it may bring on the others.
  std::uint32_t packet_bytes = 65'536;

  // What serves them.
  [[nodiscard]] const Route& route() const noexcept { return *command->message_route(); }
  // The longest of them.
  [[nodiscard]] std::uint64_t message_bytes() const noexcept {
    const std::uint64_t bytes = command->message_bytes();
    return wire == Wire::raw ? bytes : std::min<std::uint64_t>(bytes, packet_bytes);
  }
  // What a read becomes several messages at. A reply that says its length is one to one message,
  // and a cut would make it several.
  [[nodiscard]] std::uint32_t cut_bytes() const noexcept {
    return wire == Wire::raw ? packet_bytes : std::numeric_limits<std::uint32_t>::max();
  }

  // What `endpoint` offers of `router`'s commands. `invalid_argument` where a bare wire names no
  // command, or one that takes no bare messages there.
  [[nodiscard]] static Result<Service> of(const Endpoint& endpoint, const Router& router);
};

}  // namespace v0
}  // namespace cleave
