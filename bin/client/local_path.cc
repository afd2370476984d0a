// SPDX-License-Identifier: MIT
#include "cleave/bin/client/local_path.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace cleave::cli {

std::string base_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
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
