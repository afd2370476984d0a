// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/protocol/error.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/members.h"

namespace cleave::cli {

// What a program is told of a file that is done with, a JSON object: `path` here and `filename` on
// the server, of which one may be empty and is left out; then `status`, and what belongs to it.
[[nodiscard]] Members file_line(const std::string& path, const std::string& filename);
// "error", with `code` and `message`.
void append_error(Members& line, const Error& error);
// The results in the server's reply, but for those whose names are ours, or no plain names.
void append_results(Members& line, const Header& reply);

}  // namespace cleave::cli
