// SPDX-License-Identifier: MIT
#include "cleave/core/file.h"

#include <unistd.h>

namespace cleave {
inline namespace v0 {

void Fd::reset() noexcept {
  // Not retried after EINTR: on Linux the descriptor is gone all the same.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace v0
}  // namespace cleave
