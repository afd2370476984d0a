// SPDX-License-Identifier: MIT
#include "cleave/handlers/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <random>
#include <utility>

#include "cleave/handlers/local_error.h"

namespace cleave {
inline namespace v0 {
namespace {

// Names are random, so that several are tried only where somebody plays with us.
constexpr int kNames = 100;
// A file's name may have 255 bytes, and a part's name has 22 more than that of its target.
constexpr std::size_t kLongestLeaf = 255 - 22;
constexpr std::int64_t kMillis = 1'000;
constexpr std::int64_t kNanosPerMilli = 1'000'000;

std::string random_leaf() {
  std::array<char, 32> leaf{};
  std::snprintf(leaf.data(), leaf.size(), ".cleave-%08x.part", std::random_device()());
  return leaf.data();
}

Error cannot(const char* verb, const LocalFile& file) {
  return local_error(errno, std::string("cannot ") + verb + " '" + file.path() + "'");
}

Error not_ours(const LocalFile& part, const char* why) {
  return {Errc::failed_precondition,
          "'" + part.path() + "' is the name of what has come so far, but it " + why};
}

// It is a part that nobody else has a hand in: not a link to a file of the user's, nor one that
// somebody else has put there.
Result<void> check_own(const Fd& fd, const LocalFile& part) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(cannot("stat", part));
  if (!S_ISREG(info.st_mode)) return fail(not_ours(part, "is not a regular file"));
  if (info.st_uid != ::geteuid()) return fail(not_ours(part, "belongs to somebody else"));
  if (info.st_nlink > 1) return fail(not_ours(part, "has a second name"));
  return {};
}

// Between the opening and the locking, another cleave may have finished the file and renamed it.
bool still_called(const Fd& fd, const LocalFile& part) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd.get(), &ours) == 0 &&
         ::fstatat(part.at(), part.name().c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

// What was typed is there and is no regular file.
bool is_special(const LocalFile& target) {
  struct stat info {};
  return target.follows_links() && ::stat(target.name().c_str(), &info) == 0 &&
         !S_ISREG(info.st_mode);
}

}  // namespace

Result<Download> Download::create(const LocalFile& target) {
  if (is_special(target)) {
    Fd fd(::open(target.name().c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return fail(cannot("write", target));
    return Download(std::make_shared<const Fd>(std::move(fd)), target, std::nullopt, false);
  }
  // A name that nobody else has: two fetches of one file, or a file of the user's own that happens
  // to be called so, must not meet.
  for (int i = 0; i < kNames; ++i) {
    LocalFile part = target.beside(random_leaf());
    Fd fd(::openat(part.at(), part.name().c_str(),
                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd) {
      return Download(std::make_shared<const Fd>(std::move(fd)), target, std::move(part), false);
    }
    if (errno != EEXIST) return fail(cannot("create", part));
  }
  return fail(Errc::already_exists, "there is no free name beside '" + target.path() + "'");
}

Result<Download> Download::resume(const LocalFile& target, const std::string& fingerprint) {
  if (is_special(target)) return create(target);
  std::string leaf = target.leaf();
  if (leaf.size() > kLongestLeaf) leaf = "cleave";
  LocalFile part = target.beside("." + leaf + "." + fingerprint + ".part");
  for (int i = 0; i < kNames; ++i) {
    Fd fd(::openat(part.at(), part.name().c_str(),
                   O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666));
    if (!fd && errno == ELOOP) return fail(not_ours(part, "is a symbolic link"));
    if (!fd) return fail(cannot("create", part));
    if (auto own = check_own(fd, part); !own) return fail(own.error());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return fail(not_ours(part, "is being written to by another cleave"));
    }
    if (!still_called(fd, part)) continue;
    if (::lseek(fd.get(), 0, SEEK_END) < 0) return fail(cannot("seek in", part));
    return Download(std::make_shared<const Fd>(std::move(fd)), target, std::move(part), true);
  }
  return fail(not_ours(part, "changes all the time"));
}

Download::~Download() {
  if (!fd_ || !part_) return;
  if (!kept_ || size() == 0) ::unlinkat(part_->at(), part_->name().c_str(), 0);
}

std::uint64_t Download::size() const {
  struct stat info {};
  return ::fstat(fd_->get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

bool Download::restart() {
  return ::ftruncate(fd_->get(), 0) == 0 && ::lseek(fd_->get(), 0, SEEK_SET) == 0;
}

Result<void> Download::publish(bool replace, std::optional<std::int64_t> mtime_ms) {
  if (!part_) return {};
  if (mtime_ms) {
    timespec time{};
    time.tv_sec = *mtime_ms / kMillis - (*mtime_ms % kMillis < 0 ? 1 : 0);
    time.tv_nsec = (*mtime_ms % kMillis + kMillis) % kMillis * kNanosPerMilli;
    const std::array<timespec, 2> times = {timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, time};
    (void)::futimens(fd_->get(), times.data());  // a file system may know no such time
  }
  // Some file systems tell of a full disk only here, and the old file must outlive that.
  if (::fsync(fd_->get()) != 0 && errno != EINVAL) return fail(cannot("write", *part_));
  if (auto renamed = rename(replace); !renamed) return renamed;
  part_.reset();
  return {};
}

Result<void> Download::rename(bool replace) {
  const char* from = part_->name().c_str();
  const char* to = target_.name().c_str();
  if (!replace) {
    // A second name is never put in the place of a file, unlike a new one.
    if (::linkat(part_->at(), from, target_.at(), to, 0) == 0) {
      ::unlinkat(part_->at(), from, 0);
      return {};
    }
    if (errno == EEXIST) return fail(cannot("create", target_));
    // Otherwise a file system without second names.
  }
  if (::renameat(part_->at(), from, target_.at(), to) != 0) return fail(cannot("rename", *part_));
  return {};
}

}  // namespace v0
}  // namespace cleave
