// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "cleave/core/file.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// An Errno or a T. These calls say what the system said; whoever knows the name that the peer used
// makes a sentence of it (system_error.h).
template <typename T>
using OrErrno = tl::expected<T, int>;

// A directory that is held open, and the only way to what lies beneath it. Paths are relative, have
// no "." or ".." in them (a FileName's), and no symbolic link is followed in any part of them:
// meeting one is ELOOP, also if it was put there a moment ago. Empty is the directory itself.
//
// Everything blocks, so it runs in the worker pool; several threads may use one object.
class CLEAVE_API Beneath {
 public:
  // `portable`: do without what Linux alone has. Where the kernel refuses, that is done anyway;
  // this is for tests.
  explicit Beneath(Fd root, bool portable = false) noexcept
      : root_(std::move(root)), portable_(portable) {}

  [[nodiscard]] OrErrno<Fd> open_directory(const std::string& path) const;
  // The same, and makes the directories that are missing (mode 0700), if asked durably.
  [[nodiscard]] OrErrno<Fd> make_directories(const std::string& path, bool durable = true) const;
  // A regular file, for reading. EISDIR for a directory, ENXIO for anything else (a FIFO, a socket,
  // a device); never waits for the other end of a FIFO.
  [[nodiscard]] OrErrno<Fd> open_file(const std::string& path) const;

  // Renames an entry of one directory to one of another. Without `replace` EEXIST if there is one,
  // decided in one step with the renaming. (Only on file systems that cannot do that, and for a
  // directory, it is checked first and an empty directory that appears in between is replaced.)
  [[nodiscard]] OrErrno<void> rename(const Fd& from_directory, const std::string& from,
                                     const Fd& to_directory, const std::string& to,
                                     bool replace) const;

 private:
  [[nodiscard]] OrErrno<Fd> open(const std::string& path, int flags) const;

  Fd root_;
  bool portable_;
};

// Makes the entries of a directory durable. File systems that have no such thing count as done.
[[nodiscard]] CLEAVE_API OrErrno<void> sync_directory(const Fd& directory);

}  // namespace v0
}  // namespace cleave
