// SPDX-License-Identifier: MIT
#include "cleave/core/reply_error.h"

#include <optional>
#include <string>

namespace cleave {
inline namespace v0 {

bool has_status(const Header& header, std::string_view status) {
  return header.string_or("status", "").value_or("") == status;
}

Error error_of(const Header& header) {
  const std::string_view code = header.string_or("code", "").value_or(std::string_view());
  const std::string_view message = header.string_or("message", "").value_or(std::string_view());
  // A code that is younger than this client: the name tells the person at least.
  const std::optional<Errc> known = errc_from(code);
  if (known) return {*known, std::string(message)};
  if (code.empty()) return {Errc::internal, "the server's error has no code"};
  return {Errc::internal, std::string(code) + ": " + std::string(message)};
}

}  // namespace v0
}  // namespace cleave
