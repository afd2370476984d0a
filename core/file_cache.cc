// SPDX-License-Identifier: MIT
#include "cleave/core/file_cache.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace cleave {
inline namespace v0 {

#ifdef RWF_NOWAIT

bool is_cached(int file, std::uint64_t offset, std::size_t length) noexcept {
  const auto byte_is_cached = [file](std::uint64_t at) {
    char byte = 0;
    const iovec into{&byte, 1};
    return ::preadv2(file, &into, 1, static_cast<off_t>(at), RWF_NOWAIT) >= 0 || errno != EAGAIN;
  };
  return length == 0 || (byte_is_cached(offset) && byte_is_cached(offset + length - 1));
}

#else

bool is_cached(int, std::uint64_t, std::size_t) noexcept {
  return true;
}

#endif

void fetch_into_cache(int file, std::uint64_t offset, std::size_t length) noexcept {
  // The system is asked for all of it first, so that it reads in long pieces; the reads then wait.
  (void)::posix_fadvise(file, static_cast<off_t>(offset), static_cast<off_t>(length),
                        POSIX_FADV_WILLNEED);
  constexpr std::size_t kStride = 128 * 1024;
  for (std::size_t at = 0; at < length; at += kStride) {
    char byte = 0;
    if (::pread(file, &byte, 1, static_cast<off_t>(offset + at)) != 1) return;
  }
  char byte = 0;
  (void)!::pread(file, &byte, 1, static_cast<off_t>(offset + length - 1));
}

}  // namespace v0
}  // namespace cleave
