// SPDX-License-Identifier: MIT
#include "cleave/handlers/system_error.h"

#include <cerrno>
#include <system_error>

namespace cleave {
inline namespace v0 {

Error system_error(int error, const std::string& subject) {
  const auto say = [&](Errc code, const char* sentence) {
    return Error{code, subject + ": " + sentence};
  };
  switch (error) {
    case ENOENT:
      return say(Errc::not_found, "there is no such file or directory");
    case EEXIST:
      return say(Errc::already_exists, "it exists and is not to be replaced");
    case EISDIR:
      return say(Errc::failed_precondition, "it is a directory");
    case ENOTDIR:
      return say(Errc::failed_precondition, "it, or a part of it, is not a directory");
    case ENOTEMPTY:
      return say(Errc::failed_precondition, "the directory is not empty");
    case ENXIO:
    case ENODEV:
      return say(Errc::failed_precondition, "it is neither a regular file nor a directory");
    case ELOOP:
      return say(Errc::permission_denied,
                 "it, or a part of it, is a symbolic link; none is followed");
    case EXDEV:
      return say(Errc::permission_denied, "it lies on another file system than the store's");
    case EACCES:
    case EPERM:
      return say(Errc::permission_denied, "the server's user may not do that");
    case EROFS:
      return say(Errc::permission_denied, "the file system is read-only");
    case ENAMETOOLONG:
      return say(Errc::invalid_argument, "the file system takes no name as long as that");
    case ENOSPC:
      return say(Errc::no_space, "the disk is full");
    case EDQUOT:
      return say(Errc::quota_exceeded, "the disk quota of the server's user is used up");
    case EFBIG:
      return say(Errc::too_large, "the file would exceed the largest size that the system allows");
    case EMFILE:
    case ENFILE:
      return say(Errc::overloaded, "the server has no file descriptor left");
    case ENOMEM:
      return say(Errc::overloaded, "the system is out of memory");
    case EBUSY:
    case ETXTBSY:
      return say(Errc::busy, "it is in use by the system");
    default:
      return say(Errc::io_error, std::generic_category().message(error).c_str());
  }
}

}  // namespace v0
}  // namespace cleave
