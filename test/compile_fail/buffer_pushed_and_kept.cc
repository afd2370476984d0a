// SPDX-License-Identifier: MIT
// Passing bytes on gives them away.
// error: (use of deleted function|deleted copy constructor).*Buffer
#include "cleave/core/reply.h"

void buffer_pushed_and_kept(cleave::Relay& relay, cleave::Buffer buffer) {
#ifdef MISUSE
  relay.push(buffer);
#else
  relay.push(std::move(buffer));
#endif
}
