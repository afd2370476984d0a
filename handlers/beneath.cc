// SPDX-License-Identifier: MIT
#include "cleave/handlers/beneath.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#ifdef __linux__
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

namespace cleave {
inline namespace v0 {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

tl::unexpected<int> failed() {
  return tl::unexpected<int>(errno);
}

// One part, never through a symbolic link.
OrErrno<Fd> open_part(int directory, const std::string& part, int flags) {
  Fd opened(::openat(directory, part.c_str(), flags | O_NOFOLLOW));
  if (opened) return opened;
  const int error = errno;
  // Systems differ in what they call a symbolic link that is not followed: ELOOP, EMLINK, or
  // ENOTDIR where a directory was asked for.
  struct stat status {};
  const bool link = ::fstatat(directory, part.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISLNK(status.st_mode);
  return tl::unexpected<int>(link ? ELOOP : error);
}

// Part by part from `root`: what every POSIX system can do. `visit` is called with every directory
// on the way and the part that is about to be opened in it.
template <typename Visit>
OrErrno<Fd> walk(const Fd& root, std::string_view path, int flags, Visit visit) {
  Fd held;
  const Fd* directory = &root;
  for (;;) {
    const std::size_t slash = path.find('/');
    const bool last = slash == std::string_view::npos;
    const std::string part(path.substr(0, slash));
    if (OrErrno<void> visited = visit(*directory, part); !visited) {
      return tl::unexpected<int>(visited.error());
    }
    OrErrno<Fd> next = open_part(directory->get(), part, last ? flags : kDirectory);
    if (!next || last) return next;
    held = std::move(*next);
    directory = &held;
    path.remove_prefix(slash + 1);
  }
}

#ifdef __linux__
// The kernel's own resolver: one call, and nothing can be swapped in between its steps.
OrErrno<Fd> open_by_kernel(const Fd& root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how);
  if (fd < 0) return failed();
  return Fd(static_cast<int>(fd));
}
#endif

bool exists(const Fd& directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

// What every POSIX system can do: a second link is refused where the name is taken.
OrErrno<void> rename_to_free_name(const Fd& from_directory, const std::string& from,
                                  const Fd& to_directory, const std::string& to) {
  if (::linkat(from_directory.get(), from.c_str(), to_directory.get(), to.c_str(), 0) == 0) {
    if (::unlinkat(from_directory.get(), from.c_str(), 0) != 0) return failed();
    return {};
  }
  // EPERM and the like: a directory, or a file system without links.
  if (errno == EEXIST || exists(to_directory, to)) return tl::unexpected<int>(EEXIST);
  if (::renameat(from_directory.get(), from.c_str(), to_directory.get(), to.c_str()) != 0) {
    return failed();
  }
  return {};
}

}  // namespace

OrErrno<Fd> Beneath::open(const std::string& path, int flags) const {
  if (path.empty()) {
    Fd opened(::openat(root_.get(), ".", flags));
    if (!opened) return failed();
    return opened;
  }
#ifdef __linux__
  if (!portable_) {
    OrErrno<Fd> opened = open_by_kernel(root_, path, flags);
    // Kernels before 5.6 and system call filters do not know it (ENOSYS, EPERM), and it gives up
    // when somebody renames on its way (EAGAIN). The walk then gives the file or the true error.
    const bool refused = !opened && (opened.error() == ENOSYS || opened.error() == EPERM ||
                                     opened.error() == EAGAIN);
    if (!refused) return opened;
  }
#endif
  return walk(root_, path, flags, [](const Fd&, const std::string&) { return OrErrno<void>(); });
}

OrErrno<Fd> Beneath::open_directory(const std::string& path) const {
  return open(path, kDirectory);
}

OrErrno<Fd> Beneath::make_directories(const std::string& path, bool durable) const {
  const auto make = [durable](const Fd& directory, const std::string& part) -> OrErrno<void> {
    if (::mkdirat(directory.get(), part.c_str(), 0700) == 0) {
      return durable ? sync_directory(directory) : OrErrno<void>();
    }
    if (errno != EEXIST) return failed();
    return {};
  };
  OrErrno<Fd> there = open_directory(path);
  if (path.empty()) return there;
  // One that was just made may be deleted, as empty, before it is opened; it is then made again,
  // but not for ever.
  for (int attempt = 0; !there && there.error() == ENOENT && attempt < 10; ++attempt) {
    there = walk(root_, path, kDirectory, make);
  }
  return there;
}

OrErrno<Fd> Beneath::open_file(const std::string& path) const {
  OrErrno<Fd> opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (!opened) return opened;
  struct stat status {};
  if (::fstat(opened->get(), &status) != 0) return failed();
  if (S_ISDIR(status.st_mode)) return tl::unexpected<int>(EISDIR);
  if (!S_ISREG(status.st_mode)) return tl::unexpected<int>(ENXIO);
  return opened;
}

OrErrno<void> Beneath::rename(const Fd& from_directory, const std::string& from,
                              const Fd& to_directory, const std::string& to, bool replace) const {
  if (replace) {
    if (::renameat(from_directory.get(), from.c_str(), to_directory.get(), to.c_str()) != 0) {
      return failed();
    }
    return {};
  }
#ifdef __linux__
  if (!portable_) {
    constexpr unsigned kNoReplace = 1;  // RENAME_NOREPLACE, which not every <stdio.h> shows
    if (::syscall(SYS_renameat2, from_directory.get(), from.c_str(), to_directory.get(), to.c_str(),
                  kNoReplace) == 0) {
      return {};
    }
    // Some file systems do not know the flag (EINVAL), some kernels or filters not the call.
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM) return failed();
  }
#endif
  return rename_to_free_name(from_directory, from, to_directory, to);
}

OrErrno<void> sync_directory(const Fd& directory) {
  if (::fsync(directory.get()) != 0 && errno != EINVAL && errno != ENOTSUP) return failed();
  return {};
}

}  // namespace v0
}  // namespace cleave
