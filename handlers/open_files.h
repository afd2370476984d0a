// SPDX-License-Identifier: MIT
#pragma once
// Internal: how many files are open for requests.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Descriptors are the process's: whoever has a put or a get under way has some of them, and those
// who connect need theirs.
class OpenFiles {
 public:
  explicit OpenFiles(std::uint64_t limit) noexcept : limit_(limit) {}

  // A place for one request's file, as long as the pointer or a copy of it lives, on whichever
  // thread that ends; `busy` where all are taken.
  [[nodiscard]] Result<std::shared_ptr<void>> take() {
    if (*open_ >= limit_) {
      return fail(Errc::busy,
                  std::to_string(limit_) + " files are open for others (store_max_open)",
                  "store_max_open");
    }
    ++*open_;
    return std::shared_ptr<void>(nullptr, [open = open_](void*) { --*open; });
  }

 private:
  std::uint64_t limit_;
  std::shared_ptr<std::atomic<std::uint64_t>> open_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace v0
}  // namespace cleave
