// SPDX-License-Identifier: MIT
#pragma once
// Internal: the file that a get makes.

#include <cstdint>
#include <optional>
#include <string>

#include "cleave/core/file.h"
#include "cleave/handlers/local_file.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// A file that is being fetched: written beside its place under a name of its own, and put there in
// one step when it is whole. Destroyed before that, it leaves nothing, unless it is to be found
// again.
class Download {
 public:
  // Into `target`, under a name that nobody else has. A path that was typed and is there and is no
  // regular file (/dev/null, a named pipe) is written to as it is.
  [[nodiscard]] static Result<Download> create(const LocalFile& target);
  // Under a name that is found again by the same `fingerprint`, behind the bytes that are there.
  // What has that name and may be somebody else's is refused, and so is what another cleave writes
  // to.
  [[nodiscard]] static Result<Download> resume(const LocalFile& target,
                                               const std::string& fingerprint);
  Download(Download&&) noexcept = default;
  Download& operator=(Download&&) noexcept = default;
  ~Download();

  [[nodiscard]] SharedFd fd() const noexcept { return fd_; }
  // How many bytes are there.
  [[nodiscard]] std::uint64_t size() const;
  // Forgets the bytes that are there; false where that cannot be done.
  [[nodiscard]] bool restart();
  // What is there is of no use for anybody.
  void discard() noexcept { kept_ = false; }

  // With `replace` false a target that has come meanwhile is `already_exists`.
  [[nodiscard]] Result<void> publish(bool replace, std::optional<std::int64_t> mtime_ms);

 private:
  Download(SharedFd fd, LocalFile target, std::optional<LocalFile> part, bool kept)
      : fd_(std::move(fd)), target_(std::move(target)), part_(std::move(part)), kept_(kept) {}
  [[nodiscard]] Result<void> rename(bool replace);

  SharedFd fd_;
  LocalFile target_;
  std::optional<LocalFile> part_;  // none: nothing to be renamed or removed
  bool kept_;
};

}  // namespace v0
}  // namespace cleave
