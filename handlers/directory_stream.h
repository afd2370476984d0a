// SPDX-License-Identifier: MIT
#pragma once
// Internal.

#include <dirent.h>

#include <memory>
#include <string_view>

#include "cleave/core/file.h"
#include "cleave/handlers/beneath.h"

namespace cleave {
inline namespace v0 {

// The names in a directory, one after the other, but for "." and "..".
class DirectoryStream {
 public:
  // `directory` stays its owner's.
  [[nodiscard]] static OrErrno<DirectoryStream> open(const Fd& directory);
  // Valid until the next call; empty at the end, and where the directory cannot be read further:
  // then error() is not 0.
  [[nodiscard]] std::string_view next();
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  struct Close {
    void operator()(DIR* stream) const noexcept { ::closedir(stream); }
  };
  explicit DirectoryStream(DIR* stream) noexcept : stream_(stream) {}

  std::unique_ptr<DIR, Close> stream_;
  int error_ = 0;
};

}  // namespace v0
}  // namespace cleave
