// SPDX-License-Identifier: MIT
// A descriptor has one owner, so that it is closed once.
// error: (use of deleted function|deleted copy constructor).*Fd
#include "cleave/core/file.h"

cleave::Fd descriptor_copied(cleave::Fd& fd) {
#ifdef MISUSE
  return fd;
#else
  return std::move(fd);
#endif
}
