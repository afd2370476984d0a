// SPDX-License-Identifier: MIT
#pragma once
// Internal: what recent headers ask for.

#include <array>
#include <cstddef>
#include <cstdint>

#include "cleave/core/router.h"

namespace cleave {
inline namespace v0 {

// What follows from a header's shape (see Header::shape) and the router alone.
struct KnownCommand {
  std::uint64_t shape = 0;
  const Router::Command* command = nullptr;
  bool has_timeout = false;  // a member `timeout_ms`, of whatever value
};

// The last few of them, so that a client that repeats itself has its command looked up once.
class KnownCommands {
 public:
  // Null where it is not known; valid until the next remember().
  [[nodiscard]] const KnownCommand* find(std::uint64_t shape) const noexcept {
    for (const KnownCommand& known : recent_) {
      if (known.shape == shape) return &known;
    }
    return nullptr;
  }
  const KnownCommand& remember(const KnownCommand& known) noexcept {
    KnownCommand& place = recent_[oldest_];
    oldest_ = (oldest_ + 1) % recent_.size();
    return place = known;
  }

 private:
  std::array<KnownCommand, 4> recent_;  // as many as the parser remembers
  std::size_t oldest_ = 0;
};

}  // namespace v0
}  // namespace cleave
