// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_digests.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cleave/handlers/local_error.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::uint64_t kHashedPiece = std::uint64_t{256} * 1024;
constexpr std::uint64_t kHashedAtOnce = 32 * kHashedPiece;

}  // namespace

Result<FileDigests> FileDigests::create(bool with_sha256) {
  FileDigests digests;
  if (!with_sha256) return digests;
  auto sha256 = Digest::create(DigestKind::sha256);
  if (!sha256) return fail(sha256.error());
  digests.sha256 = *std::move(sha256);
  return digests;
}

void FileDigests::update(std::string_view bytes) noexcept {
  xxh3.update(bytes);
  if (sha256) sha256->update(bytes);
}

Result<std::string> read_at(const Fd& file, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::pread(file.get(), bytes.data() + filled, bytes.size() - filled,
                                  static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(local_error(errno, "cannot read"));
    if (count == 0) {
      return fail(Errc::io_error, "the file has become shorter while it was read");
    }
    filled += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<std::uint64_t> add_some(FileDigests& digests, const Fd& file, std::uint64_t offset,
                               std::uint64_t end) {
  end = std::min(end, offset + kHashedAtOnce);
  std::uint64_t at = offset;
  while (at < end) {
    auto bytes = read_at(file, at, std::min(kHashedPiece, end - at));
    if (!bytes) return fail(bytes.error());
    digests.update(*bytes);
    at += bytes->size();
  }
  return at - offset;
}

}  // namespace v0
}  // namespace cleave
