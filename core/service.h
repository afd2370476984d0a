// SPDX-License-Identifier: MIT
#pragma once
// Internal: what a listener offers to those who reach it.

#include <cstdint>

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
  const Route* route = nullptr;     // what serves them
  std::uint64_t message_bytes = 0;  // the longest of them
  // What one read is cut at on the wire raw, and the most that it may bring on the others.
  std::uint32_t packet_bytes = 65'536;

  // What `endpoint` offers of `router`'s commands. `invalid_argument` where a bare wire names no
  // command, or one that takes no bare messages there.
  [[nodiscard]] static Result<Service> of(const Endpoint& endpoint, const Router& router);
};

}  // namespace v0
}  // namespace cleave
