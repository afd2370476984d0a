// SPDX-License-Identifier: MIT
#pragma once
// Internal: a server's file, as a client knows it.

#include <cstdint>
#include <optional>
#include <string>

#include "cleave/protocol/header.h"

namespace cleave {
inline namespace v0 {

// What tells one state of a file on the server from another.
struct RemoteFile {
  std::uint64_t size = 0;
  std::optional<std::int64_t> mtime_ms = {};
  std::optional<std::string> xxh3 = {};

  // As a reply says it; empty where it says no size.
  [[nodiscard]] static std::optional<RemoteFile> of(const Header& reply);
  // 16 hex digits that are others for another state.
  [[nodiscard]] std::string fingerprint() const;

  bool operator==(const RemoteFile&) const = default;
};

}  // namespace v0
}  // namespace cleave
