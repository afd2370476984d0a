// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// Owns a file descriptor. Every one that Cleave opens is close-on-exec.
class CLEAVE_API Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

// A descriptor with several owners: a file that is being sent and read from at once. Closed by the
// last of them, on whichever thread that is.
using SharedFd = std::shared_ptr<const Fd>;

}  // namespace v0
}  // namespace cleave
