// SPDX-License-Identifier: MIT
#include "cleave/testing/manual_clock.h"

namespace cleave::testing {

Time ManualClock::now() const {
  return now_;
}
void ManualClock::advance(Millis by) {
  now_ += by;
}

}  // namespace cleave::testing
