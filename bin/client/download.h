// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/core/file.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// A file that is being fetched: written beside its place under a name of its own, and put there in
// one step when it is whole. Destroyed before that, it leaves nothing.
class Download {
 public:
  // Into `path`; a path that is there and no regular file (/dev/null, a named pipe) is written to
  // as it is.
  [[nodiscard]] static Result<Download> create(const std::string& path);
  Download(Download&&) noexcept = default;
  Download& operator=(Download&&) noexcept = default;
  ~Download();

  [[nodiscard]] SharedFd fd() const noexcept { return fd_; }
  [[nodiscard]] Result<void> publish();

 private:
  Download(SharedFd fd, std::string path, std::string part)
      : fd_(std::move(fd)), path_(std::move(path)), part_(std::move(part)) {}

  SharedFd fd_;
  std::string path_;
  std::string part_;  // empty: nothing to be renamed or removed
};

}  // namespace cleave::cli
