// SPDX-License-Identifier: MIT
#include "cleave/testing/blocked_lane.h"

namespace cleave::testing {
namespace {

// A lane's half of the largest pool that libuv makes.
constexpr int kMostThreads = 512;

}  // namespace

BlockedLane::BlockedLane(Loop& loop, Lane lane)
    : released_(std::make_shared<std::atomic<bool>>(false)) {
  for (int i = 0; i < kMostThreads; ++i) {
    loop.offload([released = released_] { released->wait(false); }, nullptr, lane);
  }
}

BlockedLane::~BlockedLane() {
  *released_ = true;
  released_->notify_all();
}

}  // namespace cleave::testing
