// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// What went wrong, chosen by what the caller can do about it. These are the `code`s of an error
// reply. A code, once published, keeps its meaning; new ones may be added.
enum class Errc : std::uint8_t {
  protocol_error,       // the byte stream cannot be trusted any more; connect again
  invalid_argument,     // change the request
  unknown_command,      // the server has no such command; see `help`
  too_large,            // send less; the message names the limit
  unauthenticated,      // say who you are first
  permission_denied,    // not for you, or not on this server
  not_found,            // there is no such thing
  already_exists,       // there is one, and it was not to be replaced
  failed_precondition,  // something must be done first
  checksum_mismatch,    // the bytes are not the ones announced; send them again
  offset_mismatch,      // go on from the offset that the reply names
  no_space,             // the disk is full
  quota_exceeded,       // the allowance is used up
  busy,                 // too many at once; retry shortly
  overloaded,           // the whole server is out of budget; retry later
  unavailable,          // the server is stopping; go to another
  deadline_exceeded,    // the time given ran out
  cancelled,            // somebody asked for the end of it
  io_error,             // the operating system failed; retrying may help
  internal,             // a bug, here or in a handler
};

// The code's name on the wire, for example "invalid_argument". Static storage.
[[nodiscard]] CLEAVE_API std::string_view to_string(Errc code) noexcept;

// The code of a wire name; empty for a name that this version does not know.
[[nodiscard]] CLEAVE_API std::optional<Errc> errc_from(std::string_view name) noexcept;

// An error as a value: a code, and one sentence that says what was expected, what came, and which
// limit it met.
struct Error {
  Errc code = Errc::internal;
  std::string message;
  // The name of that limit, for those who count; empty where none was met. Static storage. It does
  // not travel, so it makes no difference between two errors.
  std::string_view limit = {};

  bool operator==(const Error& other) const noexcept {
    return code == other.code && message == other.message;
  }
};

}  // namespace v0
}  // namespace cleave
