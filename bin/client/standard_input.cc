// SPDX-License-Identifier: MIT
#include "cleave/bin/client/standard_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "cleave/handlers/local_error.h"

namespace cleave::cli {

bool StandardInput::closed() noexcept {
  const int flags = ::fcntl(STDIN_FILENO, F_GETFL);
  return flags < 0 || (flags & O_ACCMODE) == O_WRONLY;
}

Result<std::shared_ptr<StandardInput>> StandardInput::open(Loop& loop) {
  if (closed()) return fail(Errc::io_error, "standard input is closed");
  struct stat info {};
  if (::fstat(STDIN_FILENO, &info) == 0 && S_ISDIR(info.st_mode)) {
    return tl::unexpected(local_error(EISDIR, "cannot read standard input"));
  }
  auto input = std::make_shared<StandardInput>();
  // A reader owns its descriptor, and standard input is not ours to close.
  Fd fd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!fd) return tl::unexpected(local_error(errno, "cannot open standard input"));
  auto reader = PipeReader::create(loop, std::move(fd), [self = input.get()] { self->wake(); });
  if (!reader) return fail(reader.error());
  input->reader_.emplace(std::move(*reader));
  return input;
}

Source::Pulled StandardInput::pull(std::size_t room) {
  if (!reader_) return Done{};
  std::string bytes(std::min<std::size_t>(room, 65'536), '\0');
  const std::optional<std::size_t> count = reader_->read(bytes);
  if (!count) return Later{};
  if (*count == 0 && reader_->error() != 0) {
    return Done{.members = {},
                .error = local_error(reader_->error(), "cannot read standard input")};
  }
  if (*count == 0) return Done{};
  bytes.resize(*count);
  read_ += *count;
  if (on_progress_) on_progress_(read_);
  return Piece{Buffer::own(std::move(bytes))};
}

}  // namespace cleave::cli
