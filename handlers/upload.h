// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/handlers/beneath.h"
#include "cleave/handlers/digest.h"
#include "cleave/handlers/file_name.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// A digest and its value in lower-case hex.
struct DigestValue {
  DigestKind kind;
  std::string hex;
};

// A file that is to be stored.
struct UploadRequest {
  FileName name;
  bool overwrite = true;
  // All the bytes that will come, where that is known.
  std::optional<std::uint64_t> size = {};
  // The time of its last change, in milliseconds since 1970; empty: now.
  std::optional<std::int64_t> mtime_ms = {};
  // What the content must have. At most one of a kind.
  std::vector<DigestValue> expected = {};
};

// What was stored: the size, xxh3 first, and every digest that was asked for.
struct StoredFile {
  std::uint64_t size = 0;
  std::vector<DigestValue> digests;
};

// One file on its way into a store. The bytes go to a temporary file under `.cleave/tmp`, which
// takes its name in one step when everything is checked and on the disk: a reader sees the old
// content or the new one, never a part. Until then nothing is visible, and an Upload that is
// destroyed leaves nothing behind.
//
// Every call blocks, so it runs in the worker pool, one at a time; so does the destructor, which
// may have a large file to remove.
class CLEAVE_API Upload {
 public:
  // Where temporary files lie.
  static constexpr const char* kDirectory = ".cleave/tmp";

  // Refuses what can be known before the first byte: a name that cannot be stored under, a size
  // that the disk has no room for.
  [[nodiscard]] static Result<std::unique_ptr<Upload>> begin(std::shared_ptr<const Beneath> root,
                                                             UploadRequest request);
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Appends the pieces in order. After an error only destroying it makes sense.
  [[nodiscard]] Result<void> write(std::span<const std::string_view> pieces);
  // Checks size and digests, and makes the file visible and durable under its name. Called once.
  [[nodiscard]] Result<StoredFile> finish();

  // Removes the temporary files of processes that are gone. Those of living ones are locked, in
  // whichever process they are, and are left alone.
  static void sweep(const Beneath& root);

 private:
  Upload(std::shared_ptr<const Beneath> root, UploadRequest request) noexcept
      : root_(std::move(root)), request_(std::move(request)) {}

  Result<void> check_target() const;
  Result<void> check_space() const;
  Result<void> create_file();
  Result<std::vector<DigestValue>> check_digests();
  Result<void> take_name();
  [[nodiscard]] Error error(int code) const;

  std::shared_ptr<const Beneath> root_;
  UploadRequest request_;
  Fd directory_;  // of the temporary file
  Fd file_;
  std::string temporary_;  // its name; empty once there is nothing to remove
  std::uint64_t size_ = 0;
  std::vector<Digest> digests_;
};

}  // namespace v0
}  // namespace cleave
