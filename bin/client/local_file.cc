// SPDX-License-Identifier: MIT
#include "cleave/bin/client/local_file.h"

#include <sys/stat.h>

namespace cleave::cli {

LocalFile LocalFile::beside(std::string_view leaf) const {
  const auto in_folder_of = [leaf](const std::string& path) {
    return path.substr(0, path.rfind('/') + 1) + std::string(leaf);
  };
  return {directory_, in_folder_of(name_), in_folder_of(path_)};
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool exists(const LocalFile& file) {
  struct stat info {};
  return ::fstatat(file.at(), file.name().c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace cleave::cli
