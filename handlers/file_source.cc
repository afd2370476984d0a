// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cleave/handlers/file_digests.h"
#include "cleave/handlers/local_error.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{256} * 1024;
constexpr std::int64_t kNanos = 1'000'000'000;

}  // namespace

Result<std::shared_ptr<FileSource>> FileSource::open(Loop& loop, const LocalFile& file) {
  const std::string& path = file.path();
  // Without O_NONBLOCK the open of a named pipe waits for somebody who writes it.
  const int flags =
      O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (file.follows_links() ? 0 : O_NOFOLLOW);
  Fd fd(::openat(file.at(), file.name().c_str(), flags));
  if (!fd) return fail(local_error(errno, "cannot open '" + path + "'"));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(local_error(errno, "cannot stat '" + path + "'"));
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::invalid_argument, "'" + path + "' is not a regular file");
  }
  const std::int64_t modified_ns = info.st_mtim.tv_sec * kNanos + info.st_mtim.tv_nsec;
  return std::shared_ptr<FileSource>(new FileSource(loop, std::make_shared<const Fd>(std::move(fd)),
                                                    path, static_cast<std::uint64_t>(info.st_size),
                                                    modified_ns));
}

void FileSource::begin_at(std::uint64_t offset, Digest hash) {
  start_ = offset;
  read_ = offset;
  given_ = offset;
  hash_ = std::move(hash);
}

Source::Pulled FileSource::pull(std::size_t room) {
  if (error_) return Done{{}, error_};
  if (!ready_) {
    if (given_ == file_size_) return Done{};
    read_ahead();
    return Later{};
  }
  Buffer piece = ready_->take_front(std::min(room, ready_->size()));
  given_ += piece.size();
  if (ready_->empty()) {
    ready_.reset();
    read_ahead();
  }
  if (on_progress_) on_progress_(given_);
  return Piece{std::move(piece)};
}

std::optional<std::string> FileSource::digest() {
  if (read_ != file_size_ || error_) return std::nullopt;
  return hash_.finish();
}

void FileSource::read_ahead() {
  if (reading_ || read_ == file_size_) return;
  reading_ = true;
  loop_.offload(
      [self = shared_from_this()] {
        auto bytes =
            read_at(*self->file_, self->read_, std::min(kPiece, self->file_size_ - self->read_));
        if (bytes) self->hash_.update(*bytes);
        return bytes;
      },
      [self = shared_from_this()](Result<std::string> bytes) {
        self->reading_ = false;
        if (bytes) {
          self->read_ += bytes->size();
          self->ready_.emplace(Buffer::own(std::move(*bytes)));
        } else {
          self->error_ =
              Error{bytes.error().code, "'" + self->path_ + "': " + bytes.error().message};
        }
        self->wake();
      },
      Lane::disk);
}

}  // namespace v0
}  // namespace cleave
