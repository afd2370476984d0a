// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// What an outgoing frame says of itself and of its message. Views are used during the call only.
struct OutgoingHead {
  std::string_view cmd = {};             // a request's first frame; empty: not written
  std::optional<std::uint64_t> id = {};  // 0 … 2^53-1
  bool more = false;                     // needs an id
  std::uint64_t data_size = 0;           // 0 is not written unless `write_data_size`
  bool write_data_size = false;          // say `data_size` even where it is 0
  std::string_view status = {};          // "ok" or "error", in the last frame of a reply
  std::string_view members = {};         // further members, as Members::text() gives them
  std::uint32_t blanks = 0;              // behind the object: a longer frame that says the same
};

// Appends a frame's length prefix and header to `out`; the body's `data_size` bytes must follow.
// Fails with `too_large` where the header would exceed `header_bytes`, and then leaves `out` as it
// was: a length is never cut to fit. Allocates nothing where `out` has room.
[[nodiscard]] CLEAVE_API Result<void> append_head(std::string& out, const OutgoingHead& head,
                                                  std::uint32_t header_bytes = 65'536);

// As much of an error's message as travels, in bytes.
inline constexpr std::size_t kErrorMessageBytes = 1'024;

// The members of an error reply: `"code":"…","message":"…"`. The message is cut (at a character's
// edge) where it is longer than `message_bytes`, so that an error always fits a header.
[[nodiscard]] CLEAVE_API std::string error_members(const Error& error,
                                                   std::size_t message_bytes = kErrorMessageBytes);

}  // namespace v0
}  // namespace cleave
