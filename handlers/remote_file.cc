// SPDX-License-Identifier: MIT
#include "cleave/handlers/remote_file.h"

#include <limits>

#include "cleave/handlers/digest.h"

namespace cleave {
inline namespace v0 {

std::optional<RemoteFile> RemoteFile::of(const Header& reply) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  const auto size = reply.integer("file_size", 0, kMax);
  if (!size) return std::nullopt;
  RemoteFile file{.size = static_cast<std::uint64_t>(*size)};
  const auto mtime = reply.integer("mtime_ms", std::numeric_limits<std::int64_t>::min(), kMax);
  if (mtime) file.mtime_ms = *mtime;
  if (auto digest = reply.string("xxh3")) file.xxh3 = std::string(*digest);
  return file;
}

std::string RemoteFile::fingerprint() const {
  Digest digest = Digest::create(DigestKind::xxh3).value();
  digest.update(std::to_string(size) + " " + std::to_string(mtime_ms.value_or(-1)) + " " +
                xxh3.value_or("-"));
  return digest.finish();
}

}  // namespace v0
}  // namespace cleave
