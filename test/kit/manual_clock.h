// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/time.h"
#include "cleave/protocol/api.h"

namespace cleave::testing {

// A clock that stands still until it is moved. Give it to a loop, and its timers run when step()
// finds that it has reached them.
class CLEAVE_API ManualClock final : public Clock {
 public:
  [[nodiscard]] Time now() const override;
  void advance(Millis by);

 private:
  Time now_{Millis(1'000'000)};
};

}  // namespace cleave::testing
