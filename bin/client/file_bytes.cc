// SPDX-License-Identifier: MIT
#include "cleave/bin/client/file_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "cleave/bin/client/system_error.h"

namespace cleave::cli {
namespace {

constexpr std::uint64_t kHashedPiece = std::uint64_t{256} * 1024;
// A worker comes back now and then, so that the end of the process need not wait for long.
constexpr std::uint64_t kHashedAtOnce = 32 * kHashedPiece;

// What a worker and the one who waits for it have in common; the latter may have gone.
struct Hashing {
  SharedFd file;
  Digest digest = Digest::create(DigestKind::xxh3).value();
  std::uint64_t done = 0;
  std::optional<Result<std::uint64_t>> hashed = {};
};

// Up to `end`: how many bytes.
Result<std::uint64_t> hash_some(Hashing& hashing, std::uint64_t end) {
  std::uint64_t at = hashing.done;
  while (at < end) {
    auto bytes = read_at(*hashing.file, at, std::min(kHashedPiece, end - at));
    if (!bytes) return fail(bytes.error());
    hashing.digest.update(*bytes);
    at += bytes->size();
  }
  return at - hashing.done;
}

}  // namespace

Result<std::string> read_at(const Fd& file, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t count = ::pread(file.get(), bytes.data() + filled, bytes.size() - filled,
                                  static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(system_error(errno, "cannot read"));
    if (count == 0) {
      return fail(Errc::io_error, "the file has become shorter while it was read");
    }
    filled += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<Digest> digest_of_prefix(Session& session, const SharedFd& file, std::uint64_t size) {
  const auto hashing = std::make_shared<Hashing>(Hashing{.file = file});
  while (hashing->done < size) {
    hashing->hashed.reset();
    session.loop().offload(
        [hashing, end = std::min(size, hashing->done + kHashedAtOnce)] {
          return hash_some(*hashing, end);
        },
        [hashing](Result<std::uint64_t> hashed) { hashing->hashed = std::move(hashed); });
    if (!session.wait_interruptibly([&] { return hashing->hashed.has_value(); })) {
      return fail(interrupted_error());
    }
    if (!*hashing->hashed) return fail(hashing->hashed->error());
    hashing->done += **hashing->hashed;
  }
  return std::move(hashing->digest);
}

}  // namespace cleave::cli
