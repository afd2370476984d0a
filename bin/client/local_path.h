// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "cleave/handlers/local_file.h"

namespace cleave::cli {

// What follows the last slash: a file's name without its folders.
[[nodiscard]] std::string base_name(std::string_view path);
// What was typed is a directory, or a symbolic link to one.
[[nodiscard]] bool is_directory(const std::string& path);
// There is something of that name, be it a symbolic link to nowhere.
[[nodiscard]] bool exists(const LocalFile& file);

}  // namespace cleave::cli
