// SPDX-License-Identifier: MIT
#pragma once
// Internal: what a store's files take up, against its quota.

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <string>

#include "cleave/handlers/beneath.h"
#include "cleave/handlers/store_options.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Counts bytes and files: those stored, those of uploads that wait to be resumed, and all that the
// uploads under way have declared. So of many that come at once none can pass the quota together
// that could not pass it alone. Without a quota nothing is counted. For any number of threads.
class StoreUsage {
 public:
  struct Amount {
    std::uint64_t bytes = 0;
    std::uint64_t files = 0;

    [[nodiscard]] Amount plus(Amount more) const noexcept {
      return {bytes + more.bytes, files + more.files};
    }
    [[nodiscard]] Amount less(Amount part) const noexcept {
      return {bytes - std::min(bytes, part.bytes), files - std::min(files, part.files)};
    }
  };

  explicit StoreUsage(const StoreLimits& limits) noexcept
      : quota_{limits.store_quota_bytes, limits.store_quota_files} {}

  [[nodiscard]] bool counts() const noexcept { return quota_.bytes > 0 || quota_.files > 0; }
  // Takes it for an upload; `quota_exceeded` where it is more than is left.
  [[nodiscard]] Result<void> take(Amount amount, const std::string& subject);
  // So much is stored, for which `taken` was taken.
  void stored(Amount amount, Amount taken) noexcept;
  // What was taken is not needed.
  void give_back(Amount amount) noexcept;
  // What was stored is no more.
  void removed(Amount amount) noexcept;
  // All together.
  [[nodiscard]] Amount used() const;

  // Held while a name is given to a file or taken from it, so that what was there before is counted
  // as removed once. Locks nothing where nothing is counted.
  [[nodiscard]] std::unique_lock<std::mutex> naming();

  // Counts what is stored beneath `root`: others may have written there, too. What is found
  // replaces what was counted, but for what changed meanwhile.
  void count(const Beneath& root);

 private:
  const Amount quota_;
  mutable std::mutex mutex_;  // for the next two
  Amount stored_;
  Amount taken_;
  std::mutex naming_;
};

// What one upload has taken, given back at its end but for what it has stored.
class UsageShare {
 public:
  explicit UsageShare(StoreUsage& usage) noexcept : usage_(usage) {}
  ~UsageShare() { usage_.give_back(amount_); }
  UsageShare(const UsageShare&) = delete;
  UsageShare& operator=(const UsageShare&) = delete;

  [[nodiscard]] Result<void> take(StoreUsage::Amount more, const std::string& subject) {
    Result<void> taken = usage_.take(more, subject);
    if (taken) amount_ = amount_.plus(more);
    return taken;
  }
  void stored(StoreUsage::Amount part) noexcept {
    const StoreUsage::Amount taken{std::min(part.bytes, amount_.bytes),
                                   std::min(part.files, amount_.files)};
    usage_.stored(part, taken);
    amount_ = amount_.less(taken);
  }

 private:
  StoreUsage& usage_;
  StoreUsage::Amount amount_;
};

}  // namespace v0
}  // namespace cleave
