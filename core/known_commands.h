// SPDX-License-Identifier: MIT
#pragma once
// Internal: what recent headers ask for.

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "cleave/core/router.h"

namespace cleave {
inline namespace v0 {

// What follows from a header's shape (see Header::shape) and the router alone.
struct KnownCommand {
  std::uint64_t shape = 0;
  const Router::Command* command = nullptr;
  bool has_timeout = false;  // a member `timeout_ms`, of whatever value
  // What can answer it in the call that brings it, if it is short and has come as a whole; or null.
  const CollectedFunction* at_once = nullptr;

  [[nodiscard]] static KnownCommand of(const Header& header, const Router::Command& command) {
    KnownCommand known{.shape = header.shape(),
                       .command = &command,
                       .has_timeout = header.find("timeout_ms").has_value()};
    if (!known.has_timeout && !command.spec.body_rule) {
      const Route& route = command.spec.whole ? *command.spec.whole : command.route;
      known.at_once = std::get_if<CollectedFunction>(&route.shape);
    }
    return known;
  }
};

// The last few of them, so that a client that repeats itself has its command looked up once.
class KnownCommands {
 public:
  // Null where it is not known; valid until the next remember().
  [[nodiscard]] const KnownCommand* find(std::uint64_t shape) const noexcept {
    if (shape == 0) return nullptr;
    for (const KnownCommand& known : recent_) {
      if (known.shape == shape) return &known;
    }
    return nullptr;
  }
  const KnownCommand& remember(const KnownCommand& known) noexcept {
    if (known.shape == 0) return last_ = known;  // will not be asked for
    KnownCommand& place = recent_[oldest_];
    oldest_ = (oldest_ + 1) % recent_.size();
    return place = known;
  }

 private:
  std::array<KnownCommand, 4> recent_;  // as many as the parser remembers
  KnownCommand last_;
  std::size_t oldest_ = 0;
};

}  // namespace v0
}  // namespace cleave
