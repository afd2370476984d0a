// SPDX-License-Identifier: MIT
#include "cleave/testing/frame_bytes.h"

namespace cleave::testing {

std::string length_bytes(std::uint32_t length) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes += static_cast<char>(length >> shift & 0xFFU);
  }
  return bytes;
}

std::string frame_bytes(std::string_view header, std::string_view body) {
  std::string bytes = length_bytes(static_cast<std::uint32_t>(header.size()));
  bytes += header;
  bytes += body;
  return bytes;
}

}  // namespace cleave::testing
