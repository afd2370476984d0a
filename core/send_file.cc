// SPDX-License-Identifier: MIT
#include "cleave/core/send_file.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "cleave/core/sigpipe.h"
#ifdef __linux__
#include <sys/sendfile.h>
#endif

namespace cleave {
inline namespace v0 {
namespace {

Stream::Moved failed() {
  if (errno == EAGAIN || errno == EINTR) return {Stream::Outcome::would_block, 0};
  // One call has errors of both sides. These two are no socket's.
  if (errno == EIO || errno == ESTALE) return {Stream::Outcome::bad_file, 0};
  return {Stream::Outcome::gone, 0};
}

}  // namespace

Stream::Moved send_file_copying(int socket, int file, std::uint64_t offset, std::size_t length) {
  std::array<char, 65'536> buffer;
  const ssize_t count =
      ::pread(file, buffer.data(), std::min(length, buffer.size()), static_cast<off_t>(offset));
  if (count < 0 && errno == EINTR) return {Stream::Outcome::would_block, 0};
  if (count <= 0) return {Stream::Outcome::bad_file, 0};
  const ssize_t sent = ::send(socket, buffer.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL);
  if (sent < 0) return failed();
  return {Stream::Outcome::done, static_cast<std::size_t>(sent)};
}

#ifdef __linux__

Stream::Moved send_file(int socket, int file, std::uint64_t offset, std::size_t length) {
  const SigpipeBlock block;  // sendfile(2) knows no MSG_NOSIGNAL
  auto at = static_cast<off_t>(offset);
  const ssize_t sent = ::sendfile(socket, file, &at, length);
  if (sent > 0) return {Stream::Outcome::done, static_cast<std::size_t>(sent)};
  if (sent == 0) return {Stream::Outcome::bad_file, 0};
  if (errno == EINVAL || errno == ENOSYS) return send_file_copying(socket, file, offset, length);
  return failed();
}

#else

Stream::Moved send_file(int socket, int file, std::uint64_t offset, std::size_t length) {
  return send_file_copying(socket, file, offset, length);
}

#endif

}  // namespace v0
}  // namespace cleave
