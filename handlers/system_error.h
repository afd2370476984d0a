// SPDX-License-Identifier: MIT
#pragma once
// Internal: what the system says of files, in the words of the wire.

#include <string>

#include "cleave/protocol/error.h"

namespace cleave {
inline namespace v0 {

// What the operating system said about a file, in the words of the wire: the code by what the
// caller can do, and a sentence that begins with `subject` ("'a/b.txt'").
[[nodiscard]] Error system_error(int error, const std::string& subject);

}  // namespace v0
}  // namespace cleave
