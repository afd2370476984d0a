// SPDX-License-Identifier: MIT
#include "cleave/handlers/kept_uploads.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "cleave/handlers/store_state.h"
#include "cleave/handlers/system_error.h"

namespace cleave {
inline namespace v0 {
namespace {

// For so long a client that missed the answer can learn that its upload is complete.
constexpr std::int64_t kRemembered = 3'600'000;

struct CloseStream {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

struct Kept {
  std::string name;
  std::int64_t mtime_ms;
  std::uint64_t size;
};

std::string subject_of(const UploadId& id) {
  return "the upload '" + id.text() + "'";
}

bool exists_at(const Fd& directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

// True also where that cannot be told just now.
bool has_record(const Fd& directory, const std::string& id) {
  const OrErrno<std::optional<UploadRecord>> record = UploadRecord::read(directory, id);
  return !record || record->has_value();
}

// The regular files of the directory.
std::vector<Kept> files_in(const Fd& directory) {
  std::vector<Kept> files;
  Fd own(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, CloseStream> stream(own ? ::fdopendir(own.get()) : nullptr);
  if (!stream) return files;
  (void)own.release();  // the stream owns it now
  while (const dirent* entry = ::readdir(stream.get())) {
    struct stat status {};
    if (::fstatat(directory.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode)) {
      continue;
    }
    const std::int64_t mtime_ms =
        std::int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000;
    files.push_back({entry->d_name, mtime_ms, static_cast<std::uint64_t>(status.st_size)});
  }
  return files;
}

// The upload's data, unless somebody has them under way: 0, or why they are still there.
int remove_data(StoreState& store, const Fd& directory, const std::string& id) {
  const std::string name = UploadRecord::data_name(id);
  const Fd file(
      ::openat(directory.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return errno;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return EBUSY;
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return errno;
  // The record first: data without one are nothing.
  ::unlinkat(directory.get(), UploadRecord::record_name(id).c_str(), 0);
  if (::unlinkat(directory.get(), name.c_str(), 0) != 0) return errno;
  store.usage.removed({static_cast<std::uint64_t>(status.st_size), 1});
  return 0;
}

}  // namespace

Result<UploadStatus> upload_status(const StoreState& store, const UploadId& id) {
  OrErrno<Fd> directory = store.files.open_directory(UploadRecord::kDirectory);
  if (!directory) return fail(system_error(directory.error(), subject_of(id)));
  // In this order: between the two looks it may become complete, but not the contrary.
  OrErrno<std::optional<UploadRecord>> read = UploadRecord::read(*directory, id.text());
  if (!read) return fail(system_error(read.error(), subject_of(id)));
  std::optional<UploadRecord> record = *std::move(read);
  if (!record) return fail(Errc::not_found, subject_of(id) + " is not known here");
  const bool complete =
      !record->digests.empty() && !exists_at(*directory, UploadRecord::data_name(id.text()));
  return UploadStatus{*std::move(record), complete};
}

Result<void> drop_upload(StoreState& store, const UploadId& id) {
  OrErrno<Fd> directory = store.files.open_directory(UploadRecord::kDirectory);
  if (!directory) return fail(system_error(directory.error(), subject_of(id)));
  int error = remove_data(store, *directory, id.text());
  if (error == ENOENT &&
      ::unlinkat(directory->get(), UploadRecord::record_name(id.text()).c_str(), 0) == 0) {
    error = 0;  // of one that is complete
  }
  if (error != 0) return fail(system_error(error, subject_of(id)));
  if (OrErrno<void> synced = store.sync(*directory); !synced) {
    return fail(system_error(synced.error(), subject_of(id)));
  }
  return {};
}

void expire_uploads(StoreState& store, std::int64_t now) {
  OrErrno<Fd> directory = store.files.open_directory(UploadRecord::kDirectory);
  if (!directory) return;
  const StoreLimits& limits = store.options.limits;
  std::vector<Kept> files = files_in(*directory);
  std::ranges::sort(files, {}, &Kept::mtime_ms);
  std::uint64_t bytes = 0;
  for (const Kept& file : files) {
    if (UploadRecord::is_data(file.name)) bytes += file.size;
  }
  for (const Kept& file : files) {
    const std::int64_t age = now - file.mtime_ms;
    const std::string id = file.name.substr(0, file.name.rfind('.'));
    if (!UploadRecord::is_data(file.name)) {
      // A record that is complete, or what a crash has left.
      if (age > kRemembered && !exists_at(*directory, UploadRecord::data_name(id))) {
        ::unlinkat(directory->get(), file.name.c_str(), 0);
      }
      continue;
    }
    const bool nothing = age > kRemembered && !has_record(*directory, id);
    const bool old = age > static_cast<std::int64_t>(limits.store_partial_age_ms);
    if (!nothing && !old && bytes <= limits.store_partial_bytes) continue;
    if (remove_data(store, *directory, id) == 0) bytes -= file.size;
  }
}

}  // namespace v0
}  // namespace cleave
