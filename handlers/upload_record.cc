// SPDX-License-Identifier: MIT
#include "cleave/handlers/upload_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "cleave/protocol/header.h"
#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {
namespace {

// Far more than a record has: the longest name with every byte escaped is 6 KiB.
constexpr std::size_t kRecordBytes = 16 * 1024;

OrErrno<std::string> read_whole(const Fd& directory, const std::string& name) {
  const Fd file(
      ::openat(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return tl::unexpected<int>(errno);
  std::string text(kRecordBytes, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::unexpected<int>(errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return text;
}

OrErrno<void> write_whole(const Fd& file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(file.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::unexpected<int>(errno);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

std::optional<UploadRecord> parse(const std::string& text) {
  if (text.empty()) return std::nullopt;
  HeaderParser parser;
  const Result<Ref<const Header>> header = parser.parse(text);
  if (!header) return std::nullopt;
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  const Result<std::string_view> name = (*header)->string("filename");
  const Result<std::int64_t> size = (*header)->integer("file_size", 0, kMax);
  const Result<std::int64_t> offset = (*header)->integer("offset", 0, kMax);
  if (!name || !size || !offset || *offset > *size) return std::nullopt;
  UploadRecord record{std::string(*name), static_cast<std::uint64_t>(*size),
                      static_cast<std::uint64_t>(*offset)};
  for (const DigestKind kind : {DigestKind::xxh3, DigestKind::md5, DigestKind::sha256}) {
    const Result<std::string_view> given = (*header)->string_or(to_string(kind), "");
    if (!given || given->empty()) continue;
    Result<std::string> hex = parse_digest(kind, *given);
    if (hex) record.digests.push_back({kind, *std::move(hex)});
  }
  return record;
}

}  // namespace

Result<UploadId> UploadId::parse(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  if (text.empty() || text.size() > kBytes || !std::all_of(text.begin(), text.end(), allowed)) {
    return fail(Errc::invalid_argument,
                "'upload' is 1 to 128 of the characters A-Z, a-z, 0-9, '.', '_' and '-'");
  }
  return UploadId(std::string(text));
}

OrErrno<std::optional<UploadRecord>> UploadRecord::read(const Fd& directory, std::string_view id) {
  const OrErrno<std::string> text = read_whole(directory, record_name(id));
  if (text) return parse(*text);
  // ELOOP and ENXIO: a link or a FIFO, and no record of ours.
  if (text.error() == ENOENT || text.error() == ELOOP || text.error() == ENXIO) {
    return std::optional<UploadRecord>();
  }
  return tl::unexpected<int>(text.error());
}

OrErrno<void> UploadRecord::write(const Fd& directory, std::string_view id, bool durable) const {
  Members members;
  members.set("filename", name).set("file_size", size).set("offset", offset);
  for (const DigestValue& digest : digests) members.set(to_string(digest.kind), digest.hex);
  // Whoever writes holds the lock of the data, so nobody else uses this name.
  const std::string temporary = std::string(id) + ".new";
  const Fd file(::openat(directory.get(), temporary.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return tl::unexpected<int>(errno);
  if (OrErrno<void> written = write_whole(file, members.object()); !written) return written;
  if (durable && ::fdatasync(file.get()) != 0) return tl::unexpected<int>(errno);
  if (::renameat(directory.get(), temporary.c_str(), directory.get(), record_name(id).c_str()) !=
      0) {
    return tl::unexpected<int>(errno);
  }
  return {};
}

OrErrno<bool> UploadRecord::is_complete(const Fd& directory, std::string_view id) const {
  if (digests.empty()) return false;
  struct stat status {};
  const std::string data = data_name(id);
  if (::fstatat(directory.get(), data.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return false;
  if (errno != ENOENT) return tl::unexpected<int>(errno);
  return true;
}

}  // namespace v0
}  // namespace cleave
