// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>

#include <string>
#include <string_view>
#include <utility>

#include "cleave/core/file.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// Where a file of this machine is: a path as it was typed, or the name of a file in a directory
// that is open. Whoever types a path may mean a symbolic link; a name in an open directory is none,
// and is never followed.
class CLEAVE_API LocalFile {
 public:
  LocalFile(std::string path) : name_(path), path_(std::move(path)) {}  // NOLINT: a path is one
  LocalFile(const char* path) : LocalFile(std::string(path)) {}         // NOLINT: so is this
  // `name` is relative to the directory; `path` is for people.
  LocalFile(SharedFd directory, std::string name, std::string path)
      : directory_(std::move(directory)), name_(std::move(name)), path_(std::move(path)) {}

  // For openat(2) and its kin.
  [[nodiscard]] int at() const noexcept { return directory_ ? directory_->get() : AT_FDCWD; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool follows_links() const noexcept { return directory_ == nullptr; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // What follows the last slash: the file's name without its folders.
  [[nodiscard]] std::string leaf() const { return name_.substr(name_.rfind('/') + 1); }
  // Another file beside it, by its last part.
  [[nodiscard]] LocalFile beside(std::string_view leaf) const;

 private:
  SharedFd directory_;  // null: the working directory
  std::string name_;
  std::string path_;
};

}  // namespace v0
}  // namespace cleave
