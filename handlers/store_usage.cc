// SPDX-License-Identifier: MIT
#include "cleave/handlers/store_usage.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "cleave/handlers/directory_stream.h"
#include "cleave/handlers/file_name.h"
#include "cleave/handlers/upload_record.h"

namespace cleave {
inline namespace v0 {
namespace {

// Of the regular files in one directory; its own directories are appended to `further`.
StoreUsage::Amount count_directory(const Beneath& root, const std::string& path,
                                   std::vector<std::string>& further) {
  StoreUsage::Amount amount;
  const OrErrno<Fd> directory = root.open_directory(path);
  if (!directory) return amount;
  OrErrno<DirectoryStream> entries = DirectoryStream::open(*directory);
  if (!entries) return amount;
  for (std::string name(entries->next()); !name.empty(); name = entries->next()) {
    struct stat status {};
    if (::fstatat(directory->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(status.st_mode)) {
      further.push_back(path.empty() ? name : (path + '/').append(name));
    } else if (S_ISREG(status.st_mode)) {
      amount = amount.plus({static_cast<std::uint64_t>(status.st_size), 1});
    }
  }
  return amount;
}

// What is promised of uploads that wait. What they have beyond that is either taken by one that is
// under way, or cut off before the next one goes on.
StoreUsage::Amount count_uploads(const Beneath& root) {
  StoreUsage::Amount amount;
  const OrErrno<Fd> directory = root.open_directory(UploadRecord::kDirectory);
  if (!directory) return amount;
  OrErrno<DirectoryStream> entries = DirectoryStream::open(*directory);
  if (!entries) return amount;
  for (std::string name(entries->next()); !name.empty(); name = entries->next()) {
    if (!UploadRecord::is_data(name)) continue;
    const auto record = UploadRecord::read(*directory, UploadRecord::id_of(name));
    if (record && *record) amount = amount.plus({(*record)->offset, 1});
  }
  return amount;
}

}  // namespace

Result<void> StoreUsage::take(Amount amount, const std::string& subject) {
  if (!counts()) return {};
  const std::lock_guard lock(mutex_);
  const auto over = [](std::uint64_t quota, std::uint64_t used, std::uint64_t more) {
    return quota > 0 && more > 0 && (used > quota || more > quota - used);
  };
  const auto refuse = [&](std::uint64_t more, const char* what, std::uint64_t used,
                          std::uint64_t quota, const char* limit) {
    return fail(Errc::quota_exceeded,
                subject + ": with " + std::to_string(more) + " " + what + " to the " +
                    std::to_string(used) + " that are taken, the store would have more than " +
                    std::to_string(quota) + " (" + limit + ")",
                limit);
  };
  const Amount used = stored_.plus(taken_);
  if (over(quota_.bytes, used.bytes, amount.bytes)) {
    return refuse(amount.bytes, "bytes", used.bytes, quota_.bytes, "store_quota_bytes");
  }
  if (over(quota_.files, used.files, amount.files)) {
    return refuse(amount.files, "files", used.files, quota_.files, "store_quota_files");
  }
  taken_ = taken_.plus(amount);
  return {};
}

void StoreUsage::stored(Amount amount, Amount taken) noexcept {
  if (!counts()) return;
  const std::lock_guard lock(mutex_);
  taken_ = taken_.less(taken);
  stored_ = stored_.plus(amount);
}

void StoreUsage::give_back(Amount amount) noexcept {
  if (!counts()) return;
  const std::lock_guard lock(mutex_);
  taken_ = taken_.less(amount);
}

void StoreUsage::removed(Amount amount) noexcept {
  if (!counts()) return;
  const std::lock_guard lock(mutex_);
  stored_ = stored_.less(amount);
}

StoreUsage::Amount StoreUsage::used() const {
  const std::lock_guard lock(mutex_);
  return stored_.plus(taken_);
}

std::unique_lock<std::mutex> StoreUsage::naming() {
  return counts() ? std::unique_lock(naming_) : std::unique_lock<std::mutex>();
}

void StoreUsage::count(const Beneath& root) {
  if (!counts()) return;
  const auto now = [this] {
    const std::lock_guard lock(mutex_);
    return stored_;
  };
  const Amount before = now();
  Amount found = count_uploads(root);
  std::vector<std::string> directories{""};
  while (!directories.empty()) {
    const std::string path = std::move(directories.back());
    directories.pop_back();
    // The store's own: counted already, or taken by those that are under way.
    if (path == FileName::kReserved) continue;
    found = found.plus(count_directory(root, path, directories));
  }
  const std::lock_guard lock(mutex_);
  stored_ = found.plus(stored_.less(before)).less(before.less(stored_));
}

}  // namespace v0
}  // namespace cleave
