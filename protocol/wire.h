// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// How messages are told apart on a connection. `frame` is Cleave's own; the other four are bare:
// a request is the bytes of one read, for a command that the listener names, and only the reply
// says where it ends.
//
//     wire     request          reply
//     frame    length, header, body     length, header, body
//     raw      bytes of a read  body
//     ready    bytes of a read  decimal length; the client says "recv_ready"; body
//     prefix   bytes of a read  length (4 bytes, little-endian, signed), body
//     header   bytes of a read  header's length (4 bytes, little-endian), {"data_size":n}, body
enum class Wire : std::uint8_t { frame, raw, ready, prefix, header };

// "frame", "raw", …
[[nodiscard]] CLEAVE_API std::string_view to_string(Wire wire) noexcept;
// The wire of that name.
[[nodiscard]] CLEAVE_API std::optional<Wire> wire_from(std::string_view name) noexcept;

// Whether a reply can say an error. Where it cannot, the connection ends instead.
[[nodiscard]] constexpr bool says_errors(Wire wire) noexcept {
  return wire == Wire::frame || wire == Wire::header;
}

// What a client of the wire `ready` answers to a length, to get the data.
inline constexpr std::string_view kReadyAnswer = "recv_ready";
// The longest body that the wire `prefix` can announce: its length is signed.
inline constexpr std::uint64_t kPrefixMax = 2'147'483'647;

// Appends what stands in front of the `size` bytes of a reply's body on a bare wire. `members` are
// further members of the header on the wire `header` (as Members::text() gives them), and dropped
// on the others. `too_large` where the wire cannot say the size, or the header would be longer than
// `header_bytes`; `out` is then as it was.
[[nodiscard]] CLEAVE_API Result<void> append_bare_head(std::string& out, Wire wire,
                                                       std::uint64_t size,
                                                       std::string_view members = {},
                                                       std::uint32_t header_bytes = 65'536);

}  // namespace v0
}  // namespace cleave
