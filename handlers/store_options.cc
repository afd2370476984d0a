// SPDX-License-Identifier: MIT
#include "cleave/handlers/store_options.h"

#include <iterator>

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 60;
constexpr std::uint64_t kMaxFiles = 1'000'000'000'000;

constexpr LimitOf<StoreLimits> kStoreLimits[] = {
    {"store_max_open", &StoreLimits::store_max_open, 1, 100'000,
     "files that are stored, sent or verified at once, a quarter of them for one host: each takes "
     "up to three descriptors"},
    {"store_quota_bytes", &StoreLimits::store_quota_bytes, 0, kMaxBytes,
     "of all files together, those on their way included; 0: no quota"},
    {"store_quota_files", &StoreLimits::store_quota_files, 0, kMaxFiles,
     "files, those on their way included; 0: no quota"},
    {"store_free_bytes", &StoreLimits::store_free_bytes, 0, kMaxBytes,
     "stay free on the disk, which others write to as well: a put that would take them is refused"},
    {"store_free_files", &StoreLimits::store_free_files, 0, kMaxFiles,
     "the file system can still make after a put, where it has a fixed number of them"},
    {"store_partial_bytes", &StoreLimits::store_partial_bytes, 0, kMaxBytes,
     "of uploads that wait to be resumed; the oldest beyond that are dropped within an hour"},
    {"store_partial_files", &StoreLimits::store_partial_files, 1, kMaxFiles,
     "uploads that are remembered, complete ones for an hour: each takes a file, or two"},
    {"store_partial_age_ms", &StoreLimits::store_partial_age_ms, 60'000, 31'536'000'000,
     "an upload that waits longer to be resumed is dropped: a week outlives a weekend without a "
     "network"},
};
static_assert(std::size(kStoreLimits) * sizeof(std::uint64_t) == sizeof(StoreLimits));

}  // namespace

std::span<const LimitOf<StoreLimits>> store_limit_table() noexcept {
  return kStoreLimits;
}

std::string_view to_string(Durability durability) noexcept {
  switch (durability) {
    case Durability::none:
      return "none";
    case Durability::data:
      return "data";
    case Durability::full:
      return "full";
  }
  return {};
}

}  // namespace v0
}  // namespace cleave
