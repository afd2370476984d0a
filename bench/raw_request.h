// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>

namespace cleave::bench {

// What the client asks the limits for: as little as says what is to be done. The bytes of the file
// follow a put. The reply is a number of 8 bytes, how many bytes of a file follow it.
struct RawRequest {
  enum class Work : std::uint64_t { put, synced_put, get, md5 };

  Work work;
  std::uint64_t number;  // of the file, whose name is f and the number
  std::uint64_t size;    // of the file, or of what the digest is taken of
};

constexpr std::uint64_t kRawFailed = std::numeric_limits<std::uint64_t>::max();

}  // namespace cleave::bench
