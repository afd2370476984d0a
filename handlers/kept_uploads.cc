// SPDX-License-Identifier: MIT
#include "cleave/handlers/kept_uploads.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/handlers/directory_stream.h"
#include "cleave/handlers/file_name.h"
#include "cleave/handlers/own_file.h"
#include "cleave/handlers/store_state.h"
#include "cleave/handlers/system_error.h"

namespace cleave {
inline namespace v0 {
namespace {

// For so long a client that missed the answer can learn that its upload is complete.
constexpr std::int64_t kRemembered = 3'600'000;

// What there is of one upload.
struct Kept {
  std::int64_t changed_ms = 0;  // when its record was written, or its data where it has none
  std::uint64_t bytes = 0;
  bool has_data = false;
  bool has_record = false;
};

std::string subject_of(const UploadId& id) {
  return "the upload '" + id.text() + "'";
}

// All of them, by their ids, and what a crash has left.
std::map<std::string, Kept, std::less<>> uploads_in(const Fd& directory) {
  std::map<std::string, Kept, std::less<>> uploads;
  OrErrno<DirectoryStream> entries = DirectoryStream::open(directory);
  if (!entries) return uploads;
  for (std::string name(entries->next()); !name.empty(); name = entries->next()) {
    struct stat status {};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode)) {
      continue;
    }
    const std::int64_t mtime_ms =
        std::int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000;
    const std::string id(UploadRecord::id_of(name));
    Kept& upload = uploads[id];
    if (name == UploadRecord::data_name(id)) {
      upload.has_data = true;
      upload.bytes = static_cast<std::uint64_t>(status.st_size);
      // Not that of one with a record: it may have the time of the file that it is to become.
      if (!upload.has_record) upload.changed_ms = mtime_ms;
    } else {
      upload.has_record = upload.has_record || name == UploadRecord::record_name(id);
      upload.changed_ms = mtime_ms;
    }
  }
  return uploads;
}

// Where there are no locks nobody knows whether an upload is under way: then a client that drops it
// is believed, and a sweep leaves it alone.
enum class Dropped : unsigned char { by_client, by_sweep };

// The upload's data and its record, unless somebody has them under way: 0, or why they are still
// there.
int remove_data(StoreState& store, const Fd& directory, const std::string& id, Dropped how) {
  const std::string name = UploadRecord::data_name(id);
  const Fd file(
      ::openat(directory.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return errno;
  const Locked locked = lock(file);
  if (locked == Locked::by_other || (locked == Locked::unknown && how == Dropped::by_sweep))
    return EBUSY;
  if (!is_named(directory, name, file)) return ENOENT;
  const OrErrno<std::optional<UploadRecord>> record = UploadRecord::read(directory, id);
  if (!record) return record.error();
  // The record first: data without one are nothing.
  if (::unlinkat(directory.get(), UploadRecord::record_name(id).c_str(), 0) == 0) {
    store.forget_record();
  } else if (errno != ENOENT) {
    return errno;
  }
  if (::unlinkat(directory.get(), name.c_str(), 0) != 0) return errno;
  if (*record) store.usage.removed({(*record)->offset, 1});
  return 0;
}

}  // namespace

Result<UploadStatus> upload_status(const StoreState& store, const UploadId& id) {
  OrErrno<Fd> directory = store.files.open_directory(UploadRecord::kDirectory);
  if (!directory) return fail(system_error(directory.error(), subject_of(id)));
  OrErrno<std::optional<UploadRecord>> read = UploadRecord::read(*directory, id.text());
  if (!read) return fail(system_error(read.error(), subject_of(id)));
  if (!*read) return fail(Errc::not_found, subject_of(id) + " is not known here");
  // In this order: between the two looks it may become complete, but not the contrary.
  UploadStatus status{**std::move(read)};
  const OrErrno<bool> complete = status.record.is_complete(*directory, id.text());
  if (!complete) return fail(system_error(complete.error(), subject_of(id)));
  status.complete = *complete;
  if (!status.complete) return status;
  if (Result<void> synced = sync_name(store, status.record); !synced) {
    return fail(std::move(synced.error()));
  }
  return status;
}

Result<void> sync_name(const StoreState& store, const UploadRecord& record) {
  const Result<FileName> name = FileName::parse(record.name);
  if (!name) return fail(name.error());
  const OrErrno<Fd> parent = store.files.open_directory(name->parent());
  // One that was deleted meanwhile needs none.
  if (!parent && parent.error() == ENOENT) return {};
  const OrErrno<void> synced =
      parent ? store.sync(*parent) : OrErrno<void>(tl::unexpected<int>(parent.error()));
  if (!synced) return fail(system_error(synced.error(), "'" + record.name + "'"));
  return {};
}

Result<void> drop_upload(StoreState& store, const UploadId& id) {
  OrErrno<Fd> directory = store.files.open_directory(UploadRecord::kDirectory);
  if (!directory) return fail(system_error(directory.error(), subject_of(id)));
  int error = remove_data(store, *directory, id.text(), Dropped::by_client);
  if (error == ENOENT &&
      ::unlinkat(directory->get(), UploadRecord::record_name(id.text()).c_str(), 0) == 0) {
    store.forget_record();
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
  const std::map<std::string, Kept, std::less<>> uploads = uploads_in(*directory);
  std::vector<std::pair<std::string_view, const Kept*>> oldest_first;
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  for (const auto& [id, upload] : uploads) {
    oldest_first.emplace_back(id, &upload);
    bytes += upload.bytes;
    count += upload.has_record ? 1 : 0;
  }
  std::ranges::sort(oldest_first, {}, [](const auto& each) { return each.second->changed_ms; });
  for (const auto& [name, upload] : oldest_first) {
    const std::string id(name);
    const std::int64_t age = now - upload->changed_ms;
    if (!upload->has_data) {
      // Complete, or what a crash has left.
      if (age <= kRemembered && count <= limits.store_partial_files) continue;
      for (const std::string& file : {UploadRecord::record_name(id), id + ".new"}) {
        ::unlinkat(directory->get(), file.c_str(), 0);
      }
      count -= upload->has_record ? 1 : 0;
      continue;
    }
    const bool nothing = age > kRemembered && !upload->has_record;
    const bool old = age > static_cast<std::int64_t>(limits.store_partial_age_ms);
    const bool many = bytes > limits.store_partial_bytes || count > limits.store_partial_files;
    if (!nothing && !old && !many) continue;
    if (remove_data(store, *directory, id, Dropped::by_sweep) != 0) continue;
    bytes -= upload->bytes;
    count -= upload->has_record ? 1 : 0;
  }
  store.records = count;
}

}  // namespace v0
}  // namespace cleave
