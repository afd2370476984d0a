// SPDX-License-Identifier: MIT
#include "cleave/handlers/store_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/handlers/file_name.h"
#include "cleave/handlers/upload.h"
#include "cleave/handlers/upload_record.h"

namespace cleave {
inline namespace v0 {
namespace {

struct CloseDirectory {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

// Of the regular files in one directory; its own directories are appended to `further`.
StoreUsage::Amount count_directory(const Beneath& root, const std::string& path,
                                   std::vector<std::string>& further) {
  StoreUsage::Amount amount;
  OrErrno<Fd> directory = root.open_directory(path);
  if (!directory) return amount;
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(directory->get()));
  if (!stream) return amount;
  const int fd = directory->release();  // the stream owns it now
  const bool uploads = path == UploadRecord::kDirectory;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status {};
    if (::fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(status.st_mode)) {
      further.push_back(path.empty() ? std::string(name) : path + "/" + std::string(name));
    } else if (S_ISREG(status.st_mode) && (!uploads || UploadRecord::is_data(name))) {
      amount.bytes += static_cast<std::uint64_t>(status.st_size);
      ++amount.files;
    }
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
  ++changes_;
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
  ++changes_;
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
  std::uint64_t changes = 0;
  {
    const std::lock_guard lock(mutex_);
    changes = changes_;
  }
  Amount found;
  std::vector<std::string> directories{""};
  while (!directories.empty()) {
    const std::string path = std::move(directories.back());
    directories.pop_back();
    if (path == Upload::kDirectory) continue;  // those are under way, and have taken their own
    const Amount more = count_directory(root, path, directories);
    found = found.plus(more);
  }
  const std::lock_guard lock(mutex_);
  if (changes_ == changes) stored_ = found;
}

}  // namespace v0
}  // namespace cleave
