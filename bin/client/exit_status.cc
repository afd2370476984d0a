// SPDX-License-Identifier: MIT
#include "cleave/bin/client/exit_status.h"

#include <cstdlib>

namespace cleave::cli {

int exit_status(Errc code) noexcept {
  switch (code) {
    case Errc::not_found:
      return kNotFound;
    case Errc::already_exists:
      return kAlreadyExists;
    case Errc::protocol_error:
    case Errc::busy:
    case Errc::overloaded:
    case Errc::unavailable:
      return kNetwork;
    case Errc::checksum_mismatch:
      return kChecksum;
    case Errc::no_space:
    case Errc::quota_exceeded:
      return kNoSpace;
    case Errc::unauthenticated:
    case Errc::permission_denied:
      return kDenied;
    case Errc::deadline_exceeded:
      return kDeadline;
    case Errc::invalid_argument:
    case Errc::unknown_command:
    case Errc::too_large:
    case Errc::failed_precondition:
    case Errc::offset_mismatch:
    case Errc::cancelled:
    case Errc::io_error:
    case Errc::internal:
      break;
  }
  return kOther;
}

void exit_at_once(int status) {
  std::_Exit(status);
}

}  // namespace cleave::cli
