// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>

#include "cleave/core/loop.h"
#include "cleave/protocol/api.h"

namespace cleave::testing {

// Keeps all that a loop has of a lane busy, as a disk that hangs does: what is offloaded to it
// waits until this is destroyed, which has to be before the loop is.
class CLEAVE_API BlockedLane {
 public:
  BlockedLane(Loop& loop, Lane lane);
  ~BlockedLane();
  BlockedLane(const BlockedLane&) = delete;
  BlockedLane& operator=(const BlockedLane&) = delete;

 private:
  std::shared_ptr<std::atomic<bool>> released_;
};

}  // namespace cleave::testing
