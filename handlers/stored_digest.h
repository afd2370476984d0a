// SPDX-License-Identifier: MIT
#pragma once
// Internal: the digest that is kept beside a file.

#include <optional>
#include <string>

#include "cleave/core/file.h"

namespace cleave {
inline namespace v0 {

// The xxh3 of a file's content, kept beside the file in its extended attribute
// `user.cleave.xxh3`, so that it moves and dies with the file. Where the file system or the
// operating system has no such attributes nothing is stored, and nothing found.
void store_digest(const Fd& file, const std::string& xxh3);
[[nodiscard]] std::optional<std::string> stored_digest(const Fd& file);

}  // namespace v0
}  // namespace cleave
