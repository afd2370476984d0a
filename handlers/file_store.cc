// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "cleave/handlers/directory_stream.h"
#include "cleave/handlers/kept_uploads.h"
#include "cleave/handlers/store_state.h"
#include "cleave/handlers/stored_digest.h"
#include "cleave/handlers/system_error.h"

namespace cleave {
inline namespace v0 {
namespace {

std::string quoted(const FileName& name) {
  return "'" + name.text() + "'";
}

tl::unexpected<Error> failed(const FileName& name, int error) {
  return fail(system_error(error, quoted(name)));
}

tl::unexpected<Error> into_itself(const FileName& name) {
  return fail(Errc::invalid_argument, quoted(name) + " cannot be moved into itself");
}

FileStatus status_of(const struct stat& status) {
  FileStatus result;
  if (S_ISREG(status.st_mode)) {
    result.size = static_cast<std::uint64_t>(status.st_size);
  } else {
    result.type = S_ISDIR(status.st_mode) ? FileStatus::Type::directory : FileStatus::Type::other;
  }
  result.mtime_ms = std::int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000;
  return result;
}

StoreUsage::Amount amount_of(const FileStatus& status) {
  if (status.type != FileStatus::Type::file) return {};
  return {status.size, 1};
}

// Of an entry itself, also where it is a symbolic link.
OrErrno<FileStatus> status_at(const Fd& directory, const std::string& name) {
  struct stat status {};
  if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return tl::unexpected<int>(errno);
  }
  return status_of(status);
}

// The `count` smallest names after `after` that `wanted` takes, sorted. Holds no more than those.
template <typename Wanted>
OrErrno<std::vector<std::string>> smallest_names(const Fd& directory, std::string_view after,
                                                 std::size_t count, Wanted wanted) {
  OrErrno<DirectoryStream> entries = DirectoryStream::open(directory);
  if (!entries) return tl::unexpected<int>(entries.error());
  std::vector<std::string> names;  // a heap, the greatest in front
  for (std::string_view name = entries->next(); !name.empty(); name = entries->next()) {
    if (name <= after || (names.size() == count && name >= names.front())) continue;
    if (!wanted(name)) continue;
    if (names.size() == count) {
      std::pop_heap(names.begin(), names.end());
      names.pop_back();
    }
    names.emplace_back(name);
    std::push_heap(names.begin(), names.end());
  }
  if (entries->error() != 0) return tl::unexpected<int>(entries->error());
  std::sort_heap(names.begin(), names.end());
  return names;
}

}  // namespace

std::string_view to_string(FileStatus::Type type) noexcept {
  switch (type) {
    case FileStatus::Type::file:
      return "file";
    case FileStatus::Type::directory:
      return "directory";
    case FileStatus::Type::other:
      return "other";
  }
  return {};
}

Result<std::shared_ptr<const FileStore>> FileStore::open(const std::string& root,
                                                         const FileStoreOptions& options) {
  if (::mkdir(root.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(system_error(errno, "the store's directory '" + root + "'"));
  }
  Fd directory(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail(system_error(errno, "the store's directory '" + root + "'"));
  std::shared_ptr<const FileStore> store(
      new FileStore(std::make_shared<StoreState>(std::move(directory), options)));
  store->sweep();
  return store;
}

void FileStore::sweep() const {
  Upload::sweep(*state_);
  using std::chrono::system_clock;
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now().time_since_epoch());
  expire_uploads(*state_, now.count());
  state_->usage.count(state_->files);
}

const FileStoreOptions& FileStore::options() const noexcept {
  return state_->options;
}

Result<UploadStatus> FileStore::status(const UploadId& id) const {
  return upload_status(*state_, id);
}

Result<void> FileStore::remove(const UploadId& id) const {
  return drop_upload(*state_, id);
}

Result<OpenedFile> FileStore::open_file(const FileName& name) const {
  OrErrno<Fd> file = state_->files.open_file(name.text());
  if (!file) return failed(name, file.error());
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return failed(name, errno);
  std::optional<std::string> xxh3 = stored_digest(*file);
  return OpenedFile{std::make_shared<const Fd>(*std::move(file)), status_of(status),
                    std::move(xxh3)};
}

Result<FileStatus> FileStore::status(const FileName& name) const {
  OrErrno<Fd> parent = state_->files.open_directory(name.parent());
  if (!parent) return failed(name, parent.error());
  OrErrno<FileStatus> status = status_at(*parent, name.leaf());
  if (!status) return failed(name, status.error());
  return *status;
}

Result<DirectoryPage> FileStore::list(const std::optional<FileName>& directory,
                                      std::string_view after, std::size_t limit) const {
  const auto refused = [&](int error) {
    return fail(system_error(error, directory ? quoted(*directory) : "the store's directory"));
  };
  OrErrno<Fd> opened = state_->files.open_directory(directory ? directory->text() : std::string());
  if (!opened) return refused(opened.error());
  const auto wanted = [&](std::string_view name) {
    return FileName::is_part(name) && (directory || name != FileName::kReserved);
  };
  // One more than asked for tells whether there are more.
  OrErrno<std::vector<std::string>> names = smallest_names(*opened, after, limit + 1, wanted);
  if (!names) return refused(names.error());
  DirectoryPage page;
  if (names->size() > limit) {
    names->pop_back();
    page.next = names->back();
  }
  for (std::string& name : *names) {
    // One that was deleted meanwhile is left out.
    if (OrErrno<FileStatus> status = status_at(*opened, name)) {
      page.entries.push_back({std::move(name), *status});
    }
  }
  return page;
}

Result<void> FileStore::remove(const FileName& name) const {
  OrErrno<Fd> parent = state_->files.open_directory(name.parent());
  if (!parent) return failed(name, parent.error());
  const std::string leaf = name.leaf();
  OrErrno<FileStatus> status = status_at(*parent, leaf);
  if (!status) return failed(name, status.error());
  const int flags = status->type == FileStatus::Type::directory ? AT_REMOVEDIR : 0;
  {
    const std::unique_lock<std::mutex> naming = state_->usage.naming();
    if (naming) status = status_at(*parent, leaf);
    if (!status) return failed(name, status.error());
    if (::unlinkat(parent->get(), leaf.c_str(), flags) != 0) {
      // POSIX lets a system call a directory that is not empty EEXIST.
      return failed(name, errno == EEXIST ? ENOTEMPTY : errno);
    }
    state_->usage.removed(amount_of(*status));
  }
  if (OrErrno<void> synced = state_->sync(*parent); !synced) return failed(name, synced.error());
  return {};
}

// The directory of `to`, which is made as needed; ENOENT is the source.
OrErrno<Fd> FileStore::rename_into(const Fd& source, const FileName& from, const FileName& to,
                                   bool overwrite) const {
  // The directory may be deleted, as empty, between its opening and the renaming; it is then made
  // again, but not for ever.
  for (int attempt = 1;; ++attempt) {
    OrErrno<Fd> target = state_->make_directories(to.parent());
    if (!target) return target;
    const std::unique_lock<std::mutex> naming = state_->usage.naming();
    const OrErrno<FileStatus> replaced =
        naming ? status_at(*target, to.leaf()) : tl::unexpected<int>(ENOENT);
    const OrErrno<void> renamed =
        state_->files.rename(source, from.leaf(), *target, to.leaf(), overwrite);
    if (!renamed) {
      const bool again = renamed.error() == ENOENT && attempt < 10;
      if (again && status_at(source, from.leaf())) continue;
      return tl::unexpected<int>(renamed.error());
    }
    // A name that is moved to itself replaces nothing.
    if (replaced && from != to) state_->usage.removed(amount_of(*replaced));
    return target;
  }
}

Result<void> FileStore::move(const FileName& from, const FileName& to, bool overwrite) const {
  OrErrno<Fd> source = state_->files.open_directory(from.parent());
  if (!source) return failed(from, source.error());
  // Before the parents of `to` are made, so that a move of nothing leaves nothing.
  if (OrErrno<FileStatus> status = status_at(*source, from.leaf()); !status) {
    return failed(from, status.error());
  }
  if (to.text().starts_with(from.text() + "/")) {
    return into_itself(from);
  }
  OrErrno<Fd> target = rename_into(*source, from, to, overwrite);
  if (!target) {
    const int error = target.error();
    if (error == EINVAL) return into_itself(from);  // the text does not show it in every case
    return failed(error == ENOENT ? from : to, error == EEXIST && overwrite ? ENOTEMPTY : error);
  }
  if (OrErrno<void> synced = state_->sync(*target); !synced) return failed(to, synced.error());
  if (OrErrno<void> synced = state_->sync(*source); !synced) return failed(from, synced.error());
  return {};
}

Result<Verification> FileStore::verify(const FileName& name) const {
  Result<OpenedFile> file = open_file(name);
  if (!file) return fail(std::move(file.error()));
  std::string stored = std::move(file->xxh3).value_or("");
  if (stored.empty()) {
    return fail(Errc::failed_precondition, quoted(name) + ": no digest was stored with it");
  }
  Result<Digest> digest = Digest::create(DigestKind::xxh3);
  if (!digest) return fail(std::move(digest.error()));
  return Verification(std::move(file->file), std::move(stored), *std::move(digest), quoted(name));
}

Result<bool> Verification::step() {
  std::string buffer(256 * 1024, '\0');
  for (const std::uint64_t stop = at_ + kStepBytes; at_ < stop;) {
    const ssize_t count =
        ::pread(file_->get(), buffer.data(), buffer.size(), static_cast<off_t>(at_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(system_error(errno, subject_));
    if (count > 0) {
      digest_.update({buffer.data(), static_cast<std::size_t>(count)});
      at_ += static_cast<std::uint64_t>(count);
      continue;
    }
    const std::string found = digest_.finish();
    if (found == stored_) return true;
    return fail(Errc::checksum_mismatch,
                subject_ + ": the stored xxh3 is " + stored_ + ", the content has " + found);
  }
  return false;
}

}  // namespace v0
}  // namespace cleave
