// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace cleave::cli {

// What follows the last slash: a file's name without its folders.
[[nodiscard]] inline std::string base_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace cleave::cli
