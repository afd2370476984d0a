// SPDX-License-Identifier: MIT
#include "cleave/handlers/stored_digest.h"

#ifdef __linux__
#include <sys/xattr.h>

#include <array>

#include "cleave/handlers/digest.h"
#endif

namespace cleave {
inline namespace v0 {

#ifdef __linux__

namespace {
constexpr const char* kAttribute = "user.cleave.xxh3";
}  // namespace

void store_digest(const Fd& file, const std::string& xxh3) {
  // A failure means that this file system cannot keep it, and a file without it is whole as well.
  (void)::fsetxattr(file.get(), kAttribute, xxh3.data(), xxh3.size(), 0);
}

std::optional<std::string> stored_digest(const Fd& file) {
  std::array<char, 32> value{};
  const ssize_t size = ::fgetxattr(file.get(), kAttribute, value.data(), value.size());
  if (size < 0) return std::nullopt;
  // Others can write attributes, too: what is no digest is as good as none.
  Result<std::string> xxh3 =
      parse_digest(DigestKind::xxh3, {value.data(), static_cast<std::size_t>(size)});
  if (!xxh3) return std::nullopt;
  return *std::move(xxh3);
}

#else

void store_digest(const Fd&, const std::string&) {}
std::optional<std::string> stored_digest(const Fd&) {
  return std::nullopt;
}

#endif

}  // namespace v0
}  // namespace cleave
