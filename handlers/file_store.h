// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/handlers/beneath.h"
#include "cleave/handlers/digest.h"
#include "cleave/handlers/file_name.h"
#include "cleave/handlers/store_options.h"
#include "cleave/handlers/upload.h"
#include "cleave/handlers/upload_record.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// What is known of a file without reading it.
struct FileStatus {
  enum class Type : std::uint8_t { file, directory, other };

  Type type = Type::file;
  std::uint64_t size = 0;     // 0 for what is not a file
  std::int64_t mtime_ms = 0;  // milliseconds since 1970
};

// "file", "directory", "other".
[[nodiscard]] CLEAVE_API std::string_view to_string(FileStatus::Type type) noexcept;

struct OpenedFile {
  SharedFd file;
  FileStatus status;
  std::optional<std::string> xxh3;  // the stored one
};

// A part of a directory, sorted by the bytes of the names.
struct DirectoryPage {
  struct Entry {
    std::string name;
    FileStatus status;
  };
  std::vector<Entry> entries;
  std::optional<std::string> next;  // where there are more: the name after which they begin
};

// A file whose stored digest is compared with its content, in steps: a large file takes minutes,
// and a worker thread is to serve others in between.
class CLEAVE_API Verification {
 public:
  // What a step reads at most.
  static constexpr std::uint64_t kStepBytes = 16 * 1024 * 1024;

  // True when the end was reached and the digest is the stored one, false while there is more to
  // read; `checksum_mismatch` where it differs.
  [[nodiscard]] Result<bool> step();
  [[nodiscard]] std::uint64_t size() const noexcept { return at_; }
  [[nodiscard]] const std::string& xxh3() const noexcept { return stored_; }

 private:
  friend class FileStore;
  Verification(SharedFd file, std::string stored, Digest digest, std::string subject)
      : file_(std::move(file)),
        stored_(std::move(stored)),
        digest_(std::move(digest)),
        subject_(std::move(subject)) {}

  SharedFd file_;
  std::string stored_;
  Digest digest_;
  std::string subject_;
  std::uint64_t at_ = 0;
};

// Files under one directory, named by FileNames. No symbolic link is followed on the way to any of
// them; the store's own data lie in `.cleave`. What is stored has the mode 0600, and a directory
// 0700. Every call blocks, so it runs in the worker pool; any number of threads may call, also
// those of other processes with the same directory.
class CLEAVE_API FileStore {
 public:
  // Opens the directory `root`, makes it where only itself is missing, and sweeps. With a quota it
  // looks at every file that is there. Shared, as calls that run in the pool keep it alive.
  [[nodiscard]] static Result<std::shared_ptr<const FileStore>> open(
      const std::string& root, const FileStoreOptions& options = {});
  // Removes what uploads of dead processes left behind and uploads that were never resumed, and
  // counts again what a quota is for. To be called every hour.
  void sweep() const;

  [[nodiscard]] const FileStoreOptions& options() const noexcept;

  [[nodiscard]] Result<std::unique_ptr<Upload>> upload(UploadRequest request) const {
    return Upload::begin(state_, std::move(request));
  }
  // What is known of an upload with an id; `not_found` where nothing is.
  [[nodiscard]] Result<UploadStatus> status(const UploadId& id) const;
  // Forgets an upload with an id; `busy` while it is under way.
  [[nodiscard]] Result<void> remove(const UploadId& id) const;
  // A regular file, for reading. What is read later is this content, whatever is put meanwhile.
  [[nodiscard]] Result<OpenedFile> open_file(const FileName& name) const;
  // Of anything, a symbolic link included.
  [[nodiscard]] Result<FileStatus> status(const FileName& name) const;
  // The first `limit` (at least 1) entries whose names come after `after`, in memory for as many,
  // however many there are. Without a name the root. Entries that no FileName can name are left
  // out, as nothing could be done with them.
  [[nodiscard]] Result<DirectoryPage> list(const std::optional<FileName>& directory,
                                           std::string_view after, std::size_t limit) const;
  // A file, an empty directory, or whatever else there is. Durably, as all that changes a name.
  [[nodiscard]] Result<void> remove(const FileName& name) const;
  // Gives a file or a directory another name. The parents of `to` are made as needed.
  [[nodiscard]] Result<void> move(const FileName& from, const FileName& to, bool overwrite) const;
  // `failed_precondition` where no digest is stored.
  [[nodiscard]] Result<Verification> verify(const FileName& name) const;

 private:
  [[nodiscard]] OrErrno<Fd> rename_into(const Fd& source, const FileName& from, const FileName& to,
                                        bool overwrite) const;
  explicit FileStore(std::shared_ptr<StoreState> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<StoreState> state_;
};

}  // namespace v0
}  // namespace cleave
