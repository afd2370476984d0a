// SPDX-License-Identifier: MIT
#pragma once
// Internal: files of the store's own, of which each has one user at a time.

#include <string>

#include "cleave/core/file.h"

namespace cleave {
inline namespace v0 {

enum class Locked : unsigned char {
  alone,  // nobody else has it, in whichever process
  by_other,
  unknown,  // this file system has no locks
};
// By a lock that ends with the process, however that ends.
[[nodiscard]] Locked lock(const Fd& file) noexcept;

// Whether the name still stands for the open file: it may have been removed, or replaced, between
// its opening and its lock.
[[nodiscard]] bool is_named(const Fd& directory, const std::string& name, const Fd& file) noexcept;

}  // namespace v0
}  // namespace cleave
