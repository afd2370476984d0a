// SPDX-License-Identifier: MIT
#include "cleave/protocol/error.h"

#include <array>
#include <cstddef>

namespace cleave {
inline namespace v0 {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 20> kNames = {
    "protocol_error",
    "invalid_argument",
    "unknown_command",
    "too_large",
    "unauthenticated",
    "permission_denied",
    "not_found",
    "already_exists",
    "failed_precondition",
    "checksum_mismatch",
    "offset_mismatch",
    "no_space",
    "quota_exceeded",
    "busy",
    "overloaded",
    "unavailable",
    "deadline_exceeded",
    "cancelled",
    "io_error",
    "internal",
};
static_assert(kNames.size() == static_cast<std::size_t>(Errc::internal) + 1);

}  // namespace

std::string_view to_string(Errc code) noexcept {
  return kNames[static_cast<std::size_t>(code)];
}

std::optional<Errc> errc_from(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Errc>(i);
  }
  return std::nullopt;
}

}  // namespace v0
}  // namespace cleave
