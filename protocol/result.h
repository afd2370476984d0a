// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "cleave/protocol/error.h"

namespace cleave {
inline namespace v0 {

// A T, or the Error that came instead of it. Whatever a peer, a disk or a user can cause is
// returned as one of these; what only a bug can cause is asserted.
template <typename T = void>
using Result = tl::expected<T, Error>;

// `return fail(Errc::not_found, "there is no file 'a'");`
[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string message,
                                                std::string_view limit = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), limit});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace v0
}  // namespace cleave
