// SPDX-License-Identifier: MIT
#include "cleave/handlers/upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <ctime>
#include <optional>

#include "cleave/handlers/directory_stream.h"
#include "cleave/handlers/kept_uploads.h"
#include "cleave/handlers/own_file.h"
#include "cleave/handlers/store_state.h"
#include "cleave/handlers/stored_digest.h"
#include "cleave/handlers/system_error.h"
#include "cleave/handlers/writeback.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::string_view kPrefix = "put-";
constexpr std::size_t kRandomBytes = 16;
// What others can undo between two steps is done again, but not for ever.
constexpr int kAttempts = 10;

// A name that nobody else has: 128 random bits need no second attempt.
OrErrno<std::string> random_name() {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, kRandomBytes> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) return tl::unexpected<int>(errno);
  std::string name(kPrefix);
  for (const unsigned char byte : bytes) {
    name += kDigits[byte >> 4];
    name += kDigits[byte & 15];
  }
  return name;
}

bool is_temporary(std::string_view name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + 2 * kRandomBytes;
}

// What a name that is about to get another file counts for.
StoreUsage::Amount amount_at(const Fd& directory, const std::string& name) {
  struct stat status {};
  if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  if (!S_ISREG(status.st_mode)) return {};
  return {static_cast<std::uint64_t>(status.st_size), 1};
}

// A directory, and which uploads took names in it.
struct NamedIn {
  dev_t device;
  ino_t inode;
  Fd fd;
  std::vector<std::size_t> uploads;
};

void add(std::vector<NamedIn>& directories, Fd fd, std::size_t upload) {
  struct stat status {};
  (void)::fstat(fd.get(), &status);  // of one that is open
  const auto same = std::ranges::find_if(directories, [&](const NamedIn& directory) {
    return directory.device == status.st_dev && directory.inode == status.st_ino;
  });
  if (same != directories.end()) return same->uploads.push_back(upload);
  directories.push_back({status.st_dev, status.st_ino, std::move(fd), {upload}});
}

}  // namespace

Upload::Upload(std::shared_ptr<StoreState> store, UploadRequest request) noexcept
    : store_(std::move(store)),
      request_(std::move(request)),
      share_(std::make_unique<UsageShare>(store_->usage)) {}

Result<std::unique_ptr<Upload>> Upload::begin(std::shared_ptr<StoreState> store,
                                              UploadRequest request) {
  std::unique_ptr<Upload> upload(new Upload(std::move(store), std::move(request)));
  Result<void> done = upload->make_digests();
  if (done && upload->request_.id) {
    done = upload->resume();
  } else if (done) {
    done = upload->check_target();
    if (done) done = upload->create_temporary();
  }
  if (!done) return fail(std::move(done.error()));
  return upload;
}

Upload::~Upload() {
  // Of one with an id that is not ours from its beginning, others have been told. Of one that is,
  // what was never recorded for good cannot be gone on with.
  if (own_name_.empty() || (request_.id && (recorded_ || !created_))) return;
  if (request_.id && record_written_) remove_record();
  ::unlinkat(directory_.get(), own_name_.c_str(), 0);
}

std::string Upload::subject() const {
  return "'" + request_.name.text() + "'";
}

Error Upload::error(int code) const {
  return system_error(code, subject());
}

Result<void> Upload::make_digests() {
  std::vector<DigestKind> kinds{DigestKind::xxh3};
  for (const DigestValue& expected : request_.expected) {
    if (expected.kind != DigestKind::xxh3) kinds.push_back(expected.kind);
  }
  for (const DigestKind kind : kinds) {
    Result<Digest> digest = Digest::create(kind);
    if (!digest) return fail(std::move(digest.error()));
    digests_.push_back(*std::move(digest));
  }
  return {};
}

// Only to refuse early: the same is decided for good when the file takes its name.
Result<void> Upload::check_target() {
  OrErrno<Fd> parent = store_->files.open_directory(request_.name.parent());
  if (!parent && parent.error() == ENOENT) return {};
  if (!parent) return fail(error(parent.error()));
  struct stat status {};
  if (::fstatat(parent->get(), request_.name.leaf().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail(error(errno));
  }
  if (!request_.overwrite) return fail(error(EEXIST));
  replaces_ = S_ISREG(status.st_mode);
  if (replaces_) return {};
  return fail(error(S_ISDIR(status.st_mode) ? EISDIR : S_ISLNK(status.st_mode) ? ELOOP : ENXIO));
}

// Whether the disk has room for so many bytes more. They are only compared, never allocated: it
// costs a peer nothing to declare a size.
Result<void> Upload::check_room(std::uint64_t more) const {
  struct statvfs disk {};
  if (::fstatvfs(directory_.get(), &disk) != 0) return fail(error(errno));
  const StoreLimits& limits = store_->options.limits;
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (more > free || free - more < limits.store_free_bytes) {
    return fail(Errc::no_space,
                subject() + " has " + std::to_string(more) + " bytes to come, the disk has " +
                    std::to_string(free) + ", of which " + std::to_string(limits.store_free_bytes) +
                    " stay free (store_free_bytes)",
                "store_free_bytes");
  }
  // Some file systems make files as long as there is room, and tell of none.
  if (disk.f_files > 0 && disk.f_favail < limits.store_free_files) {
    return fail(Errc::no_space,
                subject() + ": the file system can make " + std::to_string(disk.f_favail) +
                    " files more, and " + std::to_string(limits.store_free_files) +
                    " stay free (store_free_files)",
                "store_free_files");
  }
  return {};
}

Result<void> Upload::create_temporary() {
  // Opened anew each time, so that it may be removed or replaced while the server runs.
  OrErrno<Fd> directory = store_->make_directories(kDirectory);
  if (!directory) return fail(system_error(directory.error(), "the store's own directory"));
  directory_ = *std::move(directory);
  if (Result<void> room = check_room(request_.size.value_or(0)); !room) return room;
  // With the file that it replaces it is no more than one.
  const StoreUsage::Amount amount{request_.size.value_or(0), replaces_ ? 0U : 1U};
  if (Result<void> taken = share_->take(amount, subject()); !taken) return taken;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    OrErrno<std::string> name = random_name();
    if (!name) return fail(error(name.error()));
    file_ = Fd(::openat(directory_.get(), name->c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file_) return fail(error(errno));
    own_name_ = *std::move(name);
    if (lock(file_) != Locked::by_other && is_named(directory_, own_name_, file_)) return {};
    // Another store that starts just now may have found the file before it was locked, and have
    // removed it, or be about to.
    ::unlinkat(directory_.get(), own_name_.c_str(), 0);
    own_name_.clear();
  }
  return fail(error(EBUSY));
}

// ---- With an id ---------------------------------------------------------------------------------

Result<void> Upload::resume() {
  assert(request_.size);
  OrErrno<Fd> directory = store_->make_directories(UploadRecord::kDirectory);
  if (!directory) return fail(system_error(directory.error(), "the store's own directory"));
  directory_ = *std::move(directory);
  // Another process may complete it, drop it or go on with it between a look at it and the lock.
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Result<std::optional<UploadRecord>> record = read_record();
    if (!record) return fail(record.error());
    if (*record && request_.offset > 0) {
      const OrErrno<bool> complete = (*record)->is_complete(directory_, request_.id->text());
      if (!complete) return fail(error(complete.error()));
      if (*complete) return answer_again(**record);
    }
    if (Result<void> target = check_target(); !target) return target;
    const Result<bool> opened = open_data();
    if (!opened) return fail(opened.error());
    const Result<std::optional<UploadRecord>> again = read_record();
    if (!again) return fail(again.error());
    if (*opened && *again == *record) return go_on(*record);
    let_go_of_data();
  }
  return fail(Errc::busy, "the upload '" + request_.id->text() + "' is under way elsewhere");
}

// Of this upload, if it is of the same file.
Result<std::optional<UploadRecord>> Upload::read_record() const {
  OrErrno<std::optional<UploadRecord>> read = UploadRecord::read(directory_, request_.id->text());
  if (!read) return fail(error(read.error()));
  const std::optional<UploadRecord>& record = *read;
  if (record && (record->name != request_.name.text() || record->size != *request_.size)) {
    return fail(Errc::failed_precondition,
                "the upload '" + request_.id->text() + "' is of '" + record->name + "' with " +
                    std::to_string(record->size) + " bytes: use another id, or delete it");
  }
  return *std::move(read);
}

// For a request whose answer was lost: all of it is stored already.
Result<void> Upload::answer_again(const UploadRecord& record) {
  for (const DigestValue& expected : request_.expected) {
    const auto known = std::ranges::find(record.digests, expected.kind, &DigestValue::kind);
    if (known == record.digests.end()) {
      return fail(Errc::failed_precondition, "the " + std::string(to_string(expected.kind)) +
                                                 " of the upload '" + request_.id->text() +
                                                 "', which is complete, was not computed");
    }
    if (known->hex != expected.hex) return mismatch(expected, known->hex);
  }
  if (Result<void> synced = sync_name(*store_, record); !synced) return synced;
  size_ = record.size;
  complete_ = StoredFile{record.size, record.digests};
  return {};
}

// The file of an upload's bytes, new or from before, for this upload alone; false where it was gone
// as soon as it was locked.
Result<bool> Upload::open_data() {
  const std::string name = UploadRecord::data_name(request_.id->text());
  constexpr int kFlags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  file_ = Fd(::openat(directory_.get(), name.c_str(), kFlags));
  created_ = !file_ && errno == ENOENT;
  if (created_) {
    file_ = Fd(::openat(directory_.get(), name.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
    if (!file_ && errno == EEXIST) return false;
  }
  if (!file_) return fail(error(errno));
  if (lock(file_) == Locked::by_other) {
    return fail(Errc::busy, "the upload '" + request_.id->text() + "' is under way elsewhere");
  }
  if (!is_named(directory_, name, file_)) return false;
  own_name_ = name;
  return true;
}

void Upload::let_go_of_data() {
  if (created_ && !own_name_.empty()) ::unlinkat(directory_.get(), own_name_.c_str(), 0);
  own_name_.clear();
  file_.reset();
}

// With the locked file, where its record says.
Result<void> Upload::go_on(const std::optional<UploadRecord>& record) {
  recorded_ = record.has_value() && !created_;
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) return fail(error(errno));
  const auto there = static_cast<std::uint64_t>(status.st_size);
  // After a power cut there can be less than was recorded only if the disk lied.
  before_ = size_ = synced_ = looked_at_ = recorded_ ? std::min(record->offset, there) : 0;
  if (::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) return fail(error(errno));
  if (recorded_) store_->usage.removed({record->offset - size_, 0});
  if (Result<void> room = check_room(*request_.size - size_); !room) return room;
  if (!recorded_ && store_->records >= store_->options.limits.store_partial_files) {
    return fail(Errc::quota_exceeded,
                "the store remembers " + std::to_string(store_->records) +
                    " uploads, store_partial_files allows no more: put without 'upload'",
                "store_partial_files");
  }
  const StoreUsage::Amount amount{*request_.size - size_, recorded_ ? 0U : 1U};
  if (Result<void> taken = share_->take(amount, subject()); !taken) return taken;
  if (!record || recorded_) return {};
  // Of one that was complete and is begun anew, the last thing: whoever is refused has changed
  // nothing. For good before the first byte is written, which the old record would call durable.
  remove_record();
  const bool durable = store_->options.durability != Durability::none;
  const OrErrno<void> synced = durable ? sync_directory(directory_) : OrErrno<void>();
  if (!synced) return fail(error(synced.error()));
  return {};
}

void Upload::remove_record() noexcept {
  const std::string name = UploadRecord::record_name(request_.id->text());
  if (::unlinkat(directory_.get(), name.c_str(), 0) == 0) store_->forget_record();
}

// What is said of an upload becomes true before it is said: the content first.
Result<void> Upload::record_part() {
  const bool durable = store_->options.durability != Durability::none;
  if (durable && ::fdatasync(file_.get()) != 0) return damaged(errno);
  if (Result<void> written = write_record(); !written) return written;
  if (OrErrno<void> synced = durable ? sync_directory(directory_) : OrErrno<void>(); !synced) {
    return fail(error(synced.error()));
  }
  count_record();
  return {};
}

Result<void> Upload::write_record() {
  const UploadRecord record{request_.name.text(), *request_.size, size_, values_};
  const bool durable = store_->options.durability != Durability::none;
  if (!recorded_ && !record_written_) ++store_->records;
  record_written_ = true;
  OrErrno<void> written = record.write(directory_, request_.id->text(), durable);
  if (!written) return fail(error(written.error()));
  return {};
}

// The record is there for good.
void Upload::count_record() noexcept {
  share_->stored({size_ - synced_, recorded_ ? 0U : 1U});
  recorded_ = true;
  synced_ = size_;
}

// A sync of the content that failed is final: the system may have dropped the pages, and would call
// a second one a success. What was recorded before is what there is.
tl::unexpected<Error> Upload::damaged(int code) {
  damaged_ = true;
  return fail(error(code));
}

Result<void> Upload::park() {
  assert(request_.id);
  if (own_name_.empty() || damaged_ || (recorded_ && synced_ == size_)) return {};
  return record_part();
}

Result<void> Upload::discard() {
  // The record first: data without one are nothing.
  remove_record();
  ::unlinkat(directory_.get(), own_name_.c_str(), 0);
  own_name_.clear();
  if (recorded_) store_->usage.removed({synced_, 1});
  OrErrno<void> synced = store_->sync(directory_);
  if (!synced) return fail(error(synced.error()));
  return {};
}

Result<bool> Upload::catch_up() {
  if (before_ == 0) return true;
  std::string buffer(256 * 1024, '\0');
  const std::uint64_t stop = std::min(size_, caught_up_ + kStepBytes);
  while (caught_up_ < stop) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), stop - caught_up_));
    const ssize_t count =
        ::pread(file_.get(), buffer.data(), wanted, static_cast<off_t>(caught_up_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(error(errno));
    if (count == 0) return fail(Errc::io_error, subject() + ": what was stored of it has gone");
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(count));
    for (Digest& each : digests_) each.update(piece);
    caught_up_ += piece.size();
  }
  return caught_up_ == size_;
}

// ---- Bytes --------------------------------------------------------------------------------------

Result<void> Upload::write(std::span<const std::string_view> pieces) {
  if (Result<void> stored = store(pieces); !stored) return stored;
  digest(pieces);
  return {};
}

void Upload::digest(std::span<const std::string_view> pieces) noexcept {
  if (before_ > 0) return;  // see catch_up()
  for (Digest& digest : digests_) {
    for (const std::string_view piece : pieces) digest.update(piece);
  }
}

Result<void> Upload::store(std::span<const std::string_view> pieces) {
  // Far below the system's limit of pieces in one call (1,024 on Linux), and few calls all the
  // same.
  static constexpr std::size_t kPieces = 64;
  std::array<iovec, kPieces> vector{};
  while (!pieces.empty()) {
    const auto now = pieces.first(std::min(pieces.size(), kPieces));
    pieces = pieces.subspan(now.size());
    std::uint64_t left = 0;
    for (std::size_t at = 0; at < now.size(); ++at) {
      // The system does not write through this pointer.
      vector[at] = {const_cast<char*>(now[at].data()), now[at].size()};
      left += now[at].size();
    }
    if (Result<void> allowed = check_more(left); !allowed) return allowed;
    for (std::span<iovec> rest(vector.data(), now.size()); left > 0;) {
      const ssize_t count = ::pwritev(file_.get(), rest.data(), static_cast<int>(rest.size()),
                                      static_cast<off_t>(size_));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail(error(errno));
      left -= static_cast<std::uint64_t>(count);
      size_ += static_cast<std::uint64_t>(count);
      for (std::size_t written = static_cast<std::size_t>(count); written > 0;) {
        const std::size_t part = std::min(written, rest.front().iov_len);
        rest.front().iov_base = static_cast<char*>(rest.front().iov_base) + part;
        rest.front().iov_len -= part;
        written -= part;
        if (rest.front().iov_len == 0) rest = rest.subspan(1);
      }
    }
  }
  if (request_.id && size_ - synced_ >= kSyncBytes) return record_part();
  return {};
}

// Whether so many bytes may follow.
Result<void> Upload::check_more(std::uint64_t bytes) {
  if (!request_.size) {
    if (Result<void> taken = share_->take({bytes, 0}, subject()); !taken) return taken;
  } else if (bytes > *request_.size - size_) {
    return fail(
        Errc::invalid_argument,
        subject() + " was to have " + std::to_string(*request_.size) + " bytes, and more came");
  }
  if (size_ - looked_at_ < kStepBytes) return {};
  looked_at_ = size_;
  return check_room(request_.size ? *request_.size - size_ : 0);
}

// ---- The end ------------------------------------------------------------------------------------

tl::unexpected<Error> Upload::mismatch(const DigestValue& expected, const std::string& hex) const {
  return fail(Errc::checksum_mismatch, subject() + ": the " +
                                           std::string(to_string(expected.kind)) + " was to be " +
                                           expected.hex + ", what came has " + hex);
}

Result<std::vector<DigestValue>> Upload::check_digests() {
  std::vector<DigestValue> values;
  for (Digest& digest : digests_) values.push_back({digest.kind(), digest.finish()});
  for (const DigestValue& expected : request_.expected) {
    const auto computed = std::find_if(values.begin(), values.end(), [&](const DigestValue& value) {
      return value.kind == expected.kind;
    });
    if (computed->hex != expected.hex) return mismatch(expected, computed->hex);
  }
  return values;
}

Result<void> Upload::check() {
  if (request_.size && size_ != *request_.size) {
    return fail(Errc::invalid_argument, subject() + " was to have " +
                                            std::to_string(*request_.size) + " bytes, " +
                                            std::to_string(size_) + " came");
  }
  Result<std::vector<DigestValue>> values = check_digests();
  if (!values) {
    if (request_.id) (void)discard();  // the mismatch is what is to be known
    return fail(std::move(values.error()));
  }
  values_ = *std::move(values);
  store_digest(file_, values_.front().hex);
  if (request_.mtime_ms) {
    const timespec time{static_cast<time_t>(*request_.mtime_ms / 1000),
                        static_cast<long>(*request_.mtime_ms % 1000) * 1'000'000};
    const std::array<timespec, 2> times{time, time};
    if (::futimens(file_.get(), times.data()) != 0) return fail(error(errno));
  }
  return {};
}

Result<void> Upload::flush() {
  if (flushed_ || store_->options.durability == Durability::none) return {};
  // Not fdatasync: that need not write the time and the attribute.
  if (::fsync(file_.get()) != 0) return damaged(errno);
  flushed_ = true;
  return {};
}

Result<void> Upload::sync_content() {
  if (Result<void> flushed = flush(); !flushed) return flushed;
  // Some file systems tell of a failed write only here. The lock stays with the other descriptor.
  Fd copy(::dup(file_.get()));
  if (!copy) return fail(error(errno));
  if (::close(copy.release()) != 0 && errno != EINTR) return damaged(errno);
  // From here on it is complete as soon as its own name is gone.
  return request_.id ? write_record() : Result<void>();
}

// Gives the file its name; the directory in which it stands.
Result<Fd> Upload::take_name() {
  // A parent may be deleted, as empty, between its opening and the renaming; it is then made again,
  // but not for ever.
  for (int attempt = 1;; ++attempt) {
    OrErrno<Fd> parent = store_->make_directories(request_.name.parent());
    if (!parent) return fail(error(parent.error()));
    const std::string leaf = request_.name.leaf();
    const std::unique_lock<std::mutex> naming = store_->usage.naming();
    const StoreUsage::Amount replaced = naming ? amount_at(*parent, leaf) : StoreUsage::Amount();
    OrErrno<void> renamed =
        store_->files.rename(directory_, own_name_, *parent, leaf, request_.overwrite);
    if (!renamed && renamed.error() == ENOENT && attempt < kAttempts) continue;
    if (!renamed) return fail(error(renamed.error()));
    own_name_.clear();
    store_->usage.removed(replaced);
    if (!request_.id) share_->stored({size_, 1});
    if (!request_.id) directory_.reset();  // of what a batch holds open at once
    return *std::move(parent);
  }
}

std::vector<Result<StoredFile>> Upload::commit(std::span<Upload* const> uploads) {
  const auto durable = [](const Upload& upload) {
    return upload.store_->options.durability != Durability::none;
  };
  if (uploads.size() > 1) {
    for (const Upload* upload : uploads) {
      if (durable(*upload)) start_writeback(upload->file_);
    }
  }
  std::vector<Result<void>> outcomes;
  for (Upload* upload : uploads) outcomes.push_back(upload->sync_content());
  record_together(uploads, outcomes);

  std::vector<Result<StoredFile>> results;
  std::vector<NamedIn> directories;
  for (std::size_t at = 0; at < uploads.size(); ++at) {
    Upload& upload = *uploads[at];
    Result<Fd> parent = outcomes[at].and_then([&upload] { return upload.take_name(); });
    if (parent) {
      results.emplace_back(StoredFile{upload.size_, upload.values_});
      add(directories, *std::move(parent), at);
    } else {
      results.emplace_back(fail(std::move(parent.error())));
    }
  }
  for (const NamedIn& directory : directories) {
    const OrErrno<void> synced = uploads[directory.uploads.front()]->store_->sync(directory.fd);
    if (synced) continue;
    // Final as well. The names are there, and nobody has been promised that they stay.
    for (const std::size_t at : directory.uploads) {
      if (uploads[at]->request_.id) uploads[at]->remove_record();
      results[at] = fail(uploads[at]->error(synced.error()));
    }
  }
  return results;
}

// The records that uploads with ids have written are there for good: one sync for all.
void Upload::record_together(std::span<Upload* const> uploads,
                             std::vector<Result<void>>& outcomes) {
  std::vector<NamedIn> directories;
  for (std::size_t at = 0; at < uploads.size(); ++at) {
    if (!uploads[at]->request_.id || !outcomes[at]) continue;
    Fd directory(::dup(uploads[at]->directory_.get()));
    if (directory) {
      add(directories, std::move(directory), at);
    } else {
      outcomes[at] = fail(uploads[at]->error(errno));
    }
  }
  for (const NamedIn& directory : directories) {
    const bool durable =
        uploads[directory.uploads.front()]->store_->options.durability != Durability::none;
    const OrErrno<void> synced = durable ? sync_directory(directory.fd) : OrErrno<void>();
    for (const std::size_t at : directory.uploads) {
      if (synced) {
        uploads[at]->count_record();
      } else {
        outcomes[at] = fail(uploads[at]->error(synced.error()));
      }
    }
  }
}

Result<StoredFile> Upload::finish() {
  for (;;) {
    const Result<bool> caught_up = catch_up();
    if (!caught_up) return fail(caught_up.error());
    if (*caught_up) break;
  }
  if (Result<void> checked = check(); !checked) return fail(std::move(checked.error()));
  Upload* const self = this;
  return std::move(commit({&self, 1}).front());
}

void Upload::sweep(const StoreState& store) {
  OrErrno<Fd> directory = store.files.open_directory(kDirectory);
  if (!directory) return;
  OrErrno<DirectoryStream> entries = DirectoryStream::open(*directory);
  if (!entries) return;
  for (std::string name(entries->next()); !name.empty(); name = entries->next()) {
    if (!is_temporary(name)) continue;
    const Fd file(
        ::openat(directory->get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file && lock(file) == Locked::alone) ::unlinkat(directory->get(), name.c_str(), 0);
  }
}

}  // namespace v0
}  // namespace cleave
