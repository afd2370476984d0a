// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"

namespace cleave::testing {

// A length as it stands in front of a header: 4 bytes, little-endian.
[[nodiscard]] CLEAVE_API std::string length_bytes(std::uint32_t length);

// The bytes of a frame, as a peer with a pencil would write them: nothing is checked, so that wrong
// frames can be made as well as right ones.
[[nodiscard]] CLEAVE_API std::string frame_bytes(std::string_view header,
                                                 std::string_view body = {});

}  // namespace cleave::testing
