// SPDX-License-Identifier: MIT
#include "cleave/bin/load/body.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <random>
#include <utility>

#include "cleave/core/file.h"
#include "cleave/handlers/local_error.h"

namespace cleave::load {
namespace {

constexpr std::uint64_t kBlockBytes = 1'000'003;
constexpr std::size_t kFileReadBytes = 1024 * 1024;

}  // namespace

Body Body::made_up(std::uint64_t size) {
  std::string block(static_cast<std::size_t>(std::min(size, kBlockBytes)), '\0');
  // The same in every run.
  std::minstd_rand random;  // NOLINT(cert-msc32-c,cert-msc51-cpp)
  for (char& byte : block) byte = static_cast<char>(' ' + random() % ('~' - ' ' + 1));
  return {std::move(block), size};
}

Result<Body> Body::from_file(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(local_error(errno, "cannot open '" + path + "'"));
  std::string bytes;
  // A string that grows has its bytes twice for a moment.
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && status.st_size > 0) {
    bytes.reserve(static_cast<std::size_t>(status.st_size) + kFileReadBytes);
  }
  for (;;) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kFileReadBytes);
    const ssize_t count = ::read(file.get(), bytes.data() + before, kFileReadBytes);
    if (count < 0) return fail(local_error(errno, "cannot read '" + path + "'"));
    bytes.resize(before + static_cast<std::size_t>(count));
    if (count == 0) break;
  }
  const std::uint64_t size = bytes.size();
  return Body(std::move(bytes), size);
}

}  // namespace cleave::load
