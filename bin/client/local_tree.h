// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "cleave/core/unique_function.h"
#include "cleave/handlers/local_file.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// A directory of this machine with all that is below it, and nothing that is elsewhere: below its
// root no symbolic link is followed, whatever becomes one meanwhile. The root itself is what was
// typed. May be used by several threads at once.
class LocalTree {
 public:
  [[nodiscard]] static Result<LocalTree> open(const std::string& path);
  // The same, where the directory is made if it is not there.
  [[nodiscard]] static Result<LocalTree> make(const std::string& path);

  // Sees the regular files below the root by their names relative to it, sorted in each directory.
  struct Visitor {
    UniqueFunction<void(const std::string& name, std::uint64_t size)> file;
    // What cannot be read, or is neither a file nor a directory.
    UniqueFunction<void(const std::string& name, Error error)> skipped;
  };
  void walk(Visitor& visitor) const;

  // The file of a name with parts that are no "..", in its directory, which has to be there.
  [[nodiscard]] Result<LocalFile> find(const std::string& name) const;
  // The same, where its directories are made if they are not there.
  [[nodiscard]] Result<LocalFile> make_room_for(const std::string& name) const;

 private:
  LocalTree(SharedFd root, std::string path) : root_(std::move(root)), path_(std::move(path)) {}
  void walk(const SharedFd& directory, const std::string& prefix, Visitor& visitor) const;
  Result<LocalFile> locate(const std::string& name, bool make) const;

  SharedFd root_;
  std::string path_;
};

}  // namespace cleave::cli
