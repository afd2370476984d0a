// SPDX-License-Identifier: MIT
// Bytes have one owner, whom back-pressure follows. A second one is made with take_front().
// error: (use of deleted function|deleted copy constructor).*Buffer
#include "cleave/core/buffer.h"

cleave::Buffer buffer_copied(cleave::Buffer& buffer) {
#ifdef MISUSE
  return buffer;
#else
  return buffer.take_front(buffer.size());
#endif
}
