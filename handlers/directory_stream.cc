// SPDX-License-Identifier: MIT
#include "cleave/handlers/directory_stream.h"

#include <fcntl.h>

#include <cerrno>

namespace cleave {
inline namespace v0 {

OrErrno<DirectoryStream> DirectoryStream::open(const Fd& directory) {
  // A stream owns its descriptor, and moves its offset.
  Fd own(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* const stream = own ? ::fdopendir(own.get()) : nullptr;
  if (stream == nullptr) return tl::unexpected<int>(errno);
  (void)own.release();
  return DirectoryStream(stream);
}

std::string_view DirectoryStream::next() {
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream_.get());
    if (entry == nullptr) {
      error_ = errno;
      return {};
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return name;
  }
}

}  // namespace v0
}  // namespace cleave
