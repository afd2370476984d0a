// SPDX-License-Identifier: MIT
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>

#include "cleave/core/file.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Files in which people say what they want of a program. What is wrong comes as `invalid_argument`
// with a sentence that begins with the place, and a file that cannot be read as `io_error`.

// The whole text; of more bytes than any such file needs, nothing.
[[nodiscard]] Result<std::string> read_text_file(const std::string& name);
// The same of a file that is open already.
[[nodiscard]] Result<std::string> read_text_file(const Fd& file, const std::string& name);

[[nodiscard]] Result<toml::table> parse_toml(std::string_view text, const std::string& name);

// Where a key stands: "cleaved.toml:12: log_level".
[[nodiscard]] std::string place_of(const std::string& name, const toml::key& key);

}  // namespace v0
}  // namespace cleave
