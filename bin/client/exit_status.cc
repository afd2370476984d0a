// SPDX-License-Identifier: MIT
#include "cleave/bin/client/exit_status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "cleave/bin/client/text.h"
#include "cleave/handlers/local_error.h"

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

std::string error_line(const Error& error) {
  std::string line = "cleave: ";
  line += to_string(error.code);
  return line + ": " + printable(error.message);
}

void report(const Error& error) {
  std::fputs((error_line(error) + "\n").c_str(), stderr);
}

int report_status(const Error& error) {
  report(error);
  return exit_status(error.code);
}

int finish_results() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return kOk;
  return report_status(local_error(errno, "cannot write to standard output"));
}

void exit_at_once(int status) {
  std::fflush(nullptr);
  std::_Exit(status);
}

}  // namespace cleave::cli
