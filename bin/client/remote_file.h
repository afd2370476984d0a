// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cleave/bin/client/session.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {

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

// Asks the server what it has under a name: `stat`.
[[nodiscard]] Outcome status_of(Session& session, const Settings& settings,
                                const std::string& name);

}  // namespace cleave::cli
