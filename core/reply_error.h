// SPDX-License-Identifier: MIT
#pragma once
// Internal: what a reply's header says of its outcome, for every kind of client.

#include <string_view>

#include "cleave/protocol/error.h"
#include "cleave/protocol/header.h"

namespace cleave {
inline namespace v0 {

// Whether the header's `status` is that.
[[nodiscard]] bool has_status(const Header& header, std::string_view status);
// The error of an error reply: its code and its sentence.
[[nodiscard]] Error error_of(const Header& header);

}  // namespace v0
}  // namespace cleave
