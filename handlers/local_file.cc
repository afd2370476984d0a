// SPDX-License-Identifier: MIT
#include "cleave/handlers/local_file.h"

namespace cleave {
inline namespace v0 {

LocalFile LocalFile::beside(std::string_view leaf) const {
  const auto in_folder_of = [leaf](const std::string& path) {
    return path.substr(0, path.rfind('/') + 1) + std::string(leaf);
  };
  return {directory_, in_folder_of(name_), in_folder_of(path_)};
}

}  // namespace v0
}  // namespace cleave
