// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/reply.h"
#include "cleave/handlers/digest.h"
#include "cleave/handlers/local_file.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// A file as a request's body, read on a worker thread one piece ahead. Unlike a FileRange it sees
// the bytes go by: they are read once and hashed and counted on the way. It can be sent once.
class CLEAVE_API FileSource final : public Source, public std::enable_shared_from_this<FileSource> {
 public:
  // A regular file of a size that stays as it is: `not_found`, `permission_denied`, or
  // `invalid_argument` for what is no regular file. Blocks; a worker may call it.
  [[nodiscard]] static Result<std::shared_ptr<FileSource>> open(Loop& loop, const LocalFile& file);

  // Begins at `offset`, which is within the file, and counts what is before it as read and hashed.
  // Before anything is pulled.
  void begin_at(std::uint64_t offset, Digest hash);

  Pulled pull(std::size_t room) override;
  // Of what is sent.
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return file_size_ - start_; }

  [[nodiscard]] const SharedFd& fd() const noexcept { return file_; }
  [[nodiscard]] std::uint64_t file_size() const noexcept { return file_size_; }
  // When it was changed last, in nanoseconds since 1970.
  [[nodiscard]] std::int64_t modified_ns() const noexcept { return modified_ns_; }
  // Told up to which byte of the file they have been given away, whenever some are.
  void on_progress(UniqueFunction<void(std::uint64_t)> callback) {
    on_progress_ = std::move(callback);
  }
  // The XXH3-64 of the file, empty unless all of it has been read; asked once, at the end.
  [[nodiscard]] std::optional<std::string> digest();
  // Why it could not be read to its end.
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  FileSource(Loop& loop, SharedFd file, std::string path, std::uint64_t size,
             std::int64_t modified_ns)
      : loop_(loop),
        file_(std::move(file)),
        path_(std::move(path)),
        file_size_(size),
        modified_ns_(modified_ns) {}
  void read_ahead();

  Loop& loop_;
  SharedFd file_;
  std::string path_;
  std::uint64_t file_size_;
  std::int64_t modified_ns_;
  std::uint64_t start_ = 0;  // of what is sent
  std::uint64_t read_ = 0;
  std::uint64_t given_ = 0;
  bool reading_ = false;
  std::optional<Buffer> ready_;
  std::optional<Error> error_;
  Digest hash_ = Digest::create(DigestKind::xxh3).value();  // the worker's while it reads
  UniqueFunction<void(std::uint64_t)> on_progress_;
};

}  // namespace v0
}  // namespace cleave
