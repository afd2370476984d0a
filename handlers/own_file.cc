// SPDX-License-Identifier: MIT
#include "cleave/handlers/own_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

namespace cleave {
inline namespace v0 {

Locked lock(const Fd& file) noexcept {
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return Locked::alone;
  return errno == EWOULDBLOCK ? Locked::by_other : Locked::unknown;
}

bool is_named(const Fd& directory, const std::string& name, const Fd& file) noexcept {
  struct stat named {};
  struct stat opened {};
  return ::fstat(file.get(), &opened) == 0 &&
         ::fstatat(directory.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace v0
}  // namespace cleave
