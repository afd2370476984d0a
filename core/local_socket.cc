// SPDX-License-Identifier: MIT
#include "cleave/core/local_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "cleave/core/socket_address.h"
#include "cleave/core/socket_option.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr mode_t kAll = 0777;

tl::unexpected<Error> refuse(const Endpoint& endpoint, Errc code, const std::string& reason) {
  return fail(code, "cannot listen on " + endpoint.url() + ": " + reason);
}

// Whether somebody answers there, found by asking.
Result<void> expect_nobody(const Endpoint& endpoint, const SocketAddress& address) {
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return fail(socket_error("listen on", endpoint));
  const bool connected = ::connect(probe.get(), address.any(), address.size()) == 0;
  if (connected || errno == EAGAIN) {  // or so many wait there that there is no room
    return refuse(endpoint, Errc::already_exists, "somebody listens there");
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return {};
  return refuse(
      endpoint, Errc::already_exists,
      "nobody can tell whether the socket there is in use: " + std::string(std::strerror(errno)));
}

// Removes a stale socket, and refuses all else that may stand there.
Result<void> make_way(const Endpoint& endpoint, const SocketAddress& address) {
  struct stat found = {};
  if (::lstat(endpoint.path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return fail(socket_error("listen on", endpoint));
  }
  if (!S_ISSOCK(found.st_mode)) {
    return refuse(endpoint, Errc::already_exists, "what is there is no socket, and is left alone");
  }
  if (found.st_uid != ::geteuid()) {
    return refuse(endpoint, Errc::permission_denied,
                  "the socket there belongs to the user number " + std::to_string(found.st_uid));
  }
  if (auto free = expect_nobody(endpoint, address); !free) return free;
  if (::unlink(endpoint.path.c_str()) != 0 && errno != ENOENT) {
    return fail(socket_error("replace the stale socket of", endpoint));
  }
  return {};
}

// bind(2) with a file that nobody has rights to which `mode` does not give.
bool bind_narrow(int fd, const SocketAddress& address, mode_t mode, bool portable) {
#ifdef __linux__
  // Linux makes the file with the mode of the descriptor, less the umask.
  if (!portable && ::fchmod(fd, mode) == 0) return ::bind(fd, address.any(), address.size()) == 0;
#else
  (void)portable;
#endif
  // The umask is the whole process's: other threads may find it narrower meanwhile, never wider.
  const mode_t usual = ::umask(kAll);
  ::umask(usual | (kAll & ~mode));
  const bool bound = ::bind(fd, address.any(), address.size()) == 0;
  const int error = errno;
  ::umask(usual);
  errno = error;
  return bound;
}

}  // namespace

SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

SocketFile& SocketFile::operator=(SocketFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

SocketFile::~SocketFile() {
  struct stat found = {};
  if (path_.empty() || ::lstat(path_.c_str(), &found) != 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
}

Result<Fd> lock_folder(const Endpoint& endpoint) {
  const std::filesystem::path folder = std::filesystem::path(endpoint.path).parent_path();
  Fd fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Others of us hold it for moments. It is not waited for without an end, as that would stop the
  // loop for as long as somebody likes.
  constexpr int kTries = 50;
  constexpr std::chrono::milliseconds kPause(20);
  for (int i = 0; fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; ++i) {
    if (i == kTries) {
      return refuse(endpoint, Errc::busy, "somebody has locked the folder for more than a second");
    }
    std::this_thread::sleep_for(kPause);
  }
  return fd;
}

Result<SocketFile> bind_local(int fd, const Endpoint& endpoint, bool portable) {
  const Result<SocketAddress> address = SocketAddress::from(endpoint);
  if (!address) return fail(address.error());
  std::error_code error;
  SocketFile file;
  std::string path = std::filesystem::absolute(endpoint.path, error).string();
  if (error) return refuse(endpoint, Errc::io_error, error.message());
  if (auto free = make_way(endpoint, *address); !free) return fail(std::move(free.error()));
  const mode_t mode = endpoint.options.mode & kAll;
  if (!bind_narrow(fd, *address, mode, portable)) {
    return fail(socket_error("listen on", endpoint));
  }
  struct stat made = {};
  if (::lstat(path.c_str(), &made) != 0) return fail(socket_error("listen on", endpoint));
  file.path_ = std::move(path);
  file.device_ = made.st_dev;
  file.inode_ = made.st_ino;
  if ((made.st_mode & kAll) != mode &&
      ::fchmodat(AT_FDCWD, file.path_.c_str(), mode, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(socket_error("set the mode of", endpoint));
  }
  return file;
}

}  // namespace v0
}  // namespace cleave
