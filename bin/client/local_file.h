// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>

#include <string>
#include <string_view>

#include "cleave/core/file.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// What follows the last slash: a file's name without its folders.
[[nodiscard]] inline std::string base_name(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

// Where a file of this machine is: a path as it was typed, or the name of a file in a directory
// that is open. Whoever types a path may mean a symbolic link; a name in an open directory is none,
// and is never followed.
class LocalFile {
 public:
  explicit LocalFile(std::string path) : name_(path), path_(std::move(path)) {}
  // `path` is for people.
  LocalFile(SharedFd directory, std::string name, std::string path)
      : directory_(std::move(directory)), name_(std::move(name)), path_(std::move(path)) {}

  // For openat(2) and its kin.
  [[nodiscard]] int at() const noexcept { return directory_ ? directory_->get() : AT_FDCWD; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool follows_links() const noexcept { return directory_ == nullptr; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // Another file beside it, by its last part.
  [[nodiscard]] LocalFile beside(std::string_view leaf) const;

 private:
  SharedFd directory_;  // null: the working directory
  std::string name_;
  std::string path_;
};

// What was typed is a directory, or a symbolic link to one.
[[nodiscard]] bool is_directory(const std::string& path);
// There is something of that name, be it a symbolic link to nowhere.
[[nodiscard]] bool exists(const LocalFile& file);

}  // namespace cleave::cli
