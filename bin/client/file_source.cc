// SPDX-License-Identifier: MIT
#include "cleave/bin/client/file_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cleave/bin/client/system_error.h"

namespace cleave::cli {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{256} * 1024;

// Up to `size` bytes from `offset`, fewer only at the end of the file.
Result<std::string> read_at(int fd, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::pread(fd, bytes.data() + filled, bytes.size() - filled,
                                  static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(system_error(errno, "cannot read"));
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace

Result<std::shared_ptr<FileSource>> FileSource::open(Loop& loop, const std::string& path) {
  // Without O_NONBLOCK the open of a named pipe waits for somebody who writes it.
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail(system_error(errno, "cannot open '" + path + "'"));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return fail(system_error(errno, "cannot stat '" + path + "'"));
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::invalid_argument, "'" + path + "' is not a regular file");
  }
  return std::shared_ptr<FileSource>(
      new FileSource(loop, std::move(file), path, static_cast<std::uint64_t>(info.st_size)));
}

Source::Pulled FileSource::pull(std::size_t room) {
  if (error_) return Done{{}, error_};
  if (!ready_) {
    if (given_ == size_) return Done{};
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
  if (read_ != size_ || error_) return std::nullopt;
  return hash_.finish();
}

void FileSource::read_ahead() {
  if (reading_ || read_ == size_) return;
  reading_ = true;
  loop_.offload(
      [self = shared_from_this(),
       wanted = std::min(kPiece, size_ - read_)]() -> Result<std::string> {
        auto bytes = read_at(self->file_.get(), self->read_, wanted);
        if (bytes && bytes->size() < wanted) {
          return fail(Errc::io_error, "the file has become shorter while it was sent");
        }
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
      });
}

}  // namespace cleave::cli
