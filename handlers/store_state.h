// SPDX-License-Identifier: MIT
#pragma once
// Internal: what a store and its uploads share.

#include <atomic>
#include <cstdint>
#include <utility>

#include "cleave/handlers/beneath.h"
#include "cleave/handlers/store_options.h"
#include "cleave/handlers/store_usage.h"

namespace cleave {
inline namespace v0 {

struct StoreState {
  StoreState(Fd root, const FileStoreOptions& with)
      : options(with), files(std::move(root), with.portable), usage(with.limits) {}

  // Makes the entries of a directory durable, where that is promised.
  [[nodiscard]] OrErrno<void> sync(const Fd& directory) const {
    return options.durability == Durability::full ? sync_directory(directory) : OrErrno<void>();
  }
  [[nodiscard]] OrErrno<Fd> make_directories(const std::string& path) const {
    return files.make_directories(path, options.durability == Durability::full);
  }

  void forget_record() noexcept {
    std::uint64_t count = records;
    while (count > 0 && !records.compare_exchange_weak(count, count - 1)) {
    }
  }

  const FileStoreOptions options;
  const Beneath files;
  StoreUsage usage;
  // Of uploads with ids, as of the last sweep and what came and went since.
  std::atomic<std::uint64_t> records = 0;
};

}  // namespace v0
}  // namespace cleave
