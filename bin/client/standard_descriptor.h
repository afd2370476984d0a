// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "cleave/core/file.h"

namespace cleave::cli {

// Standard output or standard error, never closed by us.
[[nodiscard]] inline SharedFd standard_descriptor(int fd) {
  return {new Fd(fd), [](Fd* borrowed) {
            (void)borrowed->release();
            delete borrowed;
          }};
}

}  // namespace cleave::cli
