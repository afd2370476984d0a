// SPDX-License-Identifier: MIT
#include "cleave/handlers/local_error.h"

#include <cerrno>
#include <system_error>

namespace cleave {
inline namespace v0 {
namespace {

Errc code_of(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return Errc::not_found;
    case EEXIST:
      return Errc::already_exists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::permission_denied;
    case ENOSPC:
      return Errc::no_space;
    case EDQUOT:
      return Errc::quota_exceeded;
    default:
      return Errc::io_error;
  }
}

}  // namespace

Error local_error(int number, const std::string& what) {
  return Error{code_of(number), what + ": " + std::generic_category().message(number)};
}

}  // namespace v0
}  // namespace cleave
