// SPDX-License-Identifier: MIT
#include "cleave/handlers/upload.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

#include "cleave/handlers/stored_digest.h"
#include "cleave/handlers/system_error.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::string_view kPrefix = "put-";
constexpr std::size_t kRandomBytes = 16;

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

// Whether nobody else holds the lock by which a process shows that a temporary file is in use. The
// lock ends with the process, however that ends.
bool lock(const Fd& file) {
  return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

Result<std::unique_ptr<Upload>> Upload::begin(std::shared_ptr<const Beneath> root,
                                              UploadRequest request) {
  std::unique_ptr<Upload> upload(new Upload(std::move(root), std::move(request)));
  if (Result<void> target = upload->check_target(); !target) return fail(target.error());
  std::vector<DigestKind> kinds{DigestKind::xxh3};
  for (const DigestValue& expected : upload->request_.expected) {
    if (expected.kind != DigestKind::xxh3) kinds.push_back(expected.kind);
  }
  for (const DigestKind kind : kinds) {
    Result<Digest> digest = Digest::create(kind);
    if (!digest) return fail(std::move(digest.error()));
    upload->digests_.push_back(*std::move(digest));
  }
  if (Result<void> created = upload->create_file(); !created) return fail(created.error());
  return upload;
}

Upload::~Upload() {
  if (!temporary_.empty()) ::unlinkat(directory_.get(), temporary_.c_str(), 0);
}

Error Upload::error(int code) const {
  return system_error(code, "'" + request_.name.text() + "'");
}

// Only to refuse early: the same is decided for good when the file takes its name.
Result<void> Upload::check_target() const {
  OrErrno<Fd> parent = root_->open_directory(request_.name.parent());
  if (!parent && parent.error() == ENOENT) return {};
  if (!parent) return fail(error(parent.error()));
  struct stat status {};
  if (::fstatat(parent->get(), request_.name.leaf().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail(error(errno));
  }
  if (!request_.overwrite) return fail(error(EEXIST));
  if (S_ISREG(status.st_mode)) return {};
  return fail(error(S_ISDIR(status.st_mode) ? EISDIR : S_ISLNK(status.st_mode) ? ELOOP : ENXIO));
}

// The declared size is only compared, never allocated: it costs a peer nothing to declare.
Result<void> Upload::check_space() const {
  if (!request_.size) return {};
  struct statvfs space {};
  if (::fstatvfs(directory_.get(), &space) != 0) return fail(error(errno));
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (*request_.size <= free) return {};
  return fail(Errc::no_space, "'" + request_.name.text() + "' has " +
                                  std::to_string(*request_.size) +
                                  " bytes, the disk has room for " + std::to_string(free));
}

Result<void> Upload::create_file() {
  // Opened anew each time, so that it may be removed or replaced while the server runs.
  OrErrno<Fd> directory = root_->make_directories(kDirectory);
  if (!directory) return fail(system_error(directory.error(), "the store's own directory"));
  directory_ = *std::move(directory);
  if (Result<void> space = check_space(); !space) return space;
  for (;;) {
    OrErrno<std::string> name = random_name();
    if (!name) return fail(error(name.error()));
    file_ = Fd(::openat(directory_.get(), name->c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file_) return fail(error(errno));
    temporary_ = *std::move(name);
    // Another store that starts just now may have found the file before it was locked, and have
    // removed it, or be about to.
    struct stat status {};
    const bool lost = !lock(file_) && errno == EWOULDBLOCK;
    if (::fstat(file_.get(), &status) != 0) return fail(error(errno));
    if (!lost && status.st_nlink > 0) return {};
  }
}

Result<void> Upload::write(std::span<const std::string_view> pieces) {
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
    if (request_.size && left > *request_.size - size_) {
      return fail(Errc::invalid_argument, "'" + request_.name.text() + "' was to have " +
                                              std::to_string(*request_.size) +
                                              " bytes, and more came");
    }
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
    for (Digest& digest : digests_) {
      for (const std::string_view piece : now) digest.update(piece);
    }
  }
  return {};
}

Result<std::vector<DigestValue>> Upload::check_digests() {
  std::vector<DigestValue> values;
  for (Digest& digest : digests_) values.push_back({digest.kind(), digest.finish()});
  for (const DigestValue& expected : request_.expected) {
    const auto computed = std::find_if(values.begin(), values.end(), [&](const DigestValue& value) {
      return value.kind == expected.kind;
    });
    if (computed->hex != expected.hex) {
      return fail(Errc::checksum_mismatch,
                  "'" + request_.name.text() + "': the " + std::string(to_string(expected.kind)) +
                      " was to be " + expected.hex + ", what came has " + computed->hex);
    }
  }
  return values;
}

Result<void> Upload::take_name() {
  // A parent may be deleted, as empty, between its opening and the renaming; it is then made again,
  // but not for ever.
  for (int attempt = 1;; ++attempt) {
    OrErrno<Fd> parent = root_->make_directories(request_.name.parent());
    if (!parent) return fail(error(parent.error()));
    OrErrno<void> renamed =
        root_->rename(directory_, temporary_, *parent, request_.name.leaf(), request_.overwrite);
    if (!renamed && renamed.error() == ENOENT && attempt < 10) continue;
    if (!renamed) return fail(error(renamed.error()));
    temporary_.clear();
    if (OrErrno<void> synced = sync_directory(*parent); !synced) {
      return fail(error(synced.error()));
    }
    return {};
  }
}

Result<StoredFile> Upload::finish() {
  if (request_.size && size_ != *request_.size) {
    return fail(Errc::invalid_argument, "'" + request_.name.text() + "' was to have " +
                                            std::to_string(*request_.size) + " bytes, " +
                                            std::to_string(size_) + " came");
  }
  Result<std::vector<DigestValue>> digests = check_digests();
  if (!digests) return fail(std::move(digests.error()));
  store_digest(file_, digests->front().hex);
  if (request_.mtime_ms) {
    const timespec time{static_cast<time_t>(*request_.mtime_ms / 1000),
                        static_cast<long>(*request_.mtime_ms % 1000) * 1'000'000};
    const std::array<timespec, 2> times{time, time};
    if (::futimens(file_.get(), times.data()) != 0) return fail(error(errno));
  }
  // Not fdatasync: that need not write the time and the attribute. A failure is final, as the
  // system may have dropped the pages and would call a second attempt a success.
  if (::fsync(file_.get()) != 0) return fail(error(errno));
  if (Result<void> named = take_name(); !named) return fail(std::move(named.error()));
  return StoredFile{size_, *std::move(digests)};
}

void Upload::sweep(const Beneath& root) {
  OrErrno<Fd> directory = root.open_directory(kDirectory);
  if (!directory) return;
  DIR* const entries = ::fdopendir(directory->get());
  if (entries == nullptr) return;
  const int fd = directory->release();  // the stream owns it now
  while (const dirent* entry = ::readdir(entries)) {
    if (!is_temporary(entry->d_name)) continue;
    const Fd file(::openat(fd, entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file && lock(file)) ::unlinkat(fd, entry->d_name, 0);
  }
  ::closedir(entries);
}

}  // namespace v0
}  // namespace cleave
