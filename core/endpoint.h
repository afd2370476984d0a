// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Where a server listens or a client connects, written as a URL: `tcp://127.0.0.1:8080`,
// `tcp://[::1]:0`, each with options behind a `?`: `?wire=frame`.
struct Endpoint {
  std::string host;  // a numeric address, without brackets; "localhost" stands for 127.0.0.1
  std::uint16_t port = 0;
  std::string wire = "frame";

  // `invalid_argument` with a sentence for what it cannot read.
  [[nodiscard]] CLEAVE_API static Result<Endpoint> parse(std::string_view url);
  [[nodiscard]] CLEAVE_API std::string url() const;
  // True for 127.0.0.0/8 and ::1.
  [[nodiscard]] CLEAVE_API bool is_loopback() const noexcept;
};

}  // namespace v0
}  // namespace cleave
