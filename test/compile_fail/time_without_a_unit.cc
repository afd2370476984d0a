// SPDX-License-Identifier: MIT
// A number alone is no time.
// error: could not convert|cannot convert|no viable conversion|no known conversion
#include "cleave/core/loop.h"

void time_without_a_unit(cleave::Loop& loop) {
#ifdef MISUSE
  loop.after(100, [] {});
#else
  loop.after(cleave::Millis(100), [] {});
#endif
}
