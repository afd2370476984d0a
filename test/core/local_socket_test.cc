// SPDX-License-Identifier: MIT
#include "cleave/core/local_socket.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/bound_socket.h"
#include "cleave/core/socket_address.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

namespace fs = std::filesystem;

Endpoint at(const fs::path& path) {
  Endpoint endpoint;
  endpoint.transport = Endpoint::Transport::local;
  endpoint.path = path.string();
  return endpoint;
}

Fd local_socket() {
  return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// A socket of somebody who does it by hand.
Fd bound_by_hand(const fs::path& path) {
  Fd socket = local_socket();
  const SocketAddress address = SocketAddress::from(at(path)).value();
  REQUIRE(::bind(socket.get(), address.any(), address.size()) == 0);
  return socket;
}

bool connects(const fs::path& path) {
  const Fd socket = local_socket();
  const SocketAddress address = SocketAddress::from(at(path)).value();
  return ::connect(socket.get(), address.any(), address.size()) == 0;
}

Result<BoundSocket> open_at(const Endpoint& endpoint) {
  Admission everybody;
  return BoundSocket::open(endpoint, everybody);
}

Error refusal(const Endpoint& endpoint) {
  auto socket = open_at(endpoint);
  REQUIRE_FALSE(socket.has_value());
  INFO(socket.error().message);
  CHECK(socket.error().message.find("cannot listen on " + endpoint.url()) == 0);
  CHECK(socket.error().message.find('\n') == std::string::npos);
  return socket.error();
}

mode_t mode_of(const fs::path& path) {
  struct stat found = {};
  REQUIRE(::lstat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

// What happens to the files of a folder, so that nothing can pass unseen between two looks.
class FolderWatch {
 public:
  explicit FolderWatch(const std::string& folder) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    REQUIRE(::inotify_add_watch(fd_.get(), folder.c_str(), IN_CREATE | IN_ATTRIB) >= 0);
  }
  std::vector<std::uint32_t> events() const {
    alignas(inotify_event) std::array<char, 4096> buffer{};
    std::vector<std::uint32_t> masks;
    const ssize_t size = ::read(fd_.get(), buffer.data(), buffer.size());
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      masks.push_back(event->mask);
      at += static_cast<ssize_t>(sizeof(inotify_event)) + event->len;
    }
    return masks;
  }

 private:
  Fd fd_;
};

}  // namespace

TEST_CASE("a socket's file has its mode from its birth on, or a narrower one") {
  bool portable = false;
  SUBCASE("on Linux") {}
  SUBCASE("on any system") {
    portable = true;
  }
  for (const mode_t mask : {0U, 022U, 077U, 0777U}) {
    for (const std::uint32_t mode : {0600U, 0660U, 0666U, 0777U, 0U}) {
      CAPTURE(mask);
      CAPTURE(mode);
      const ScratchDirectory scratch;
      const FolderWatch watch(scratch.string());
      const Umask umask(mask);
      Endpoint endpoint = at(scratch / "socket");
      endpoint.options.mode = mode;
      const Fd socket = local_socket();
      const auto file = bind_local(socket.get(), endpoint, portable);
      REQUIRE(file.has_value());
      CHECK(mode_of(scratch / "socket") == mode);
      // Born with this mode; its mode was changed only where the umask had taken something.
      std::vector<std::uint32_t> expected = {IN_CREATE};
      if ((mode & mask) != 0) expected.push_back(IN_ATTRIB);
      CHECK(watch.events() == expected);
      CHECK(::umask(mask) == mask);
    }
  }
}

TEST_CASE("a socket's file is private unless its mode is asked for") {
  const ScratchDirectory scratch;
  const Umask umask(0);
  const auto socket = open_at(at(scratch / "socket"));
  REQUIRE(socket.has_value());
  CHECK(mode_of(scratch / "socket") == 0600);
  CHECK(connects(scratch / "socket"));
}

TEST_CASE("the file goes with its socket, also after that was moved") {
  const ScratchDirectory scratch;
  std::optional<BoundSocket> kept;
  {
    auto socket = open_at(at(scratch / "socket"));
    REQUIRE(socket.has_value());
    kept = std::move(*socket);
  }
  CHECK(connects(scratch / "socket"));
  {
    // Assigned over, the old one goes.
    auto other = open_at(at(scratch / "other"));
    REQUIRE(other.has_value());
    *kept = std::move(*other);
  }
  CHECK_FALSE(fs::exists(scratch / "socket"));
  CHECK(connects(scratch / "other"));
  kept.reset();
  CHECK_FALSE(fs::exists(scratch / "other"));
}

TEST_CASE("a file that somebody else has put there meanwhile is left alone") {
  const ScratchDirectory scratch;
  auto socket = open_at(at(scratch / "socket"));
  REQUIRE(socket.has_value());
  fs::remove(scratch / "socket");
  SUBCASE("a socket") {
    const Fd other = bound_by_hand(scratch / "socket");
    socket = fail(Errc::internal, "");
    CHECK(fs::is_socket(scratch / "socket"));
  }
  SUBCASE("a regular file") {
    make_file(scratch / "socket", "precious");
    socket = fail(Errc::internal, "");
    CHECK(content_of(scratch / "socket") == "precious");
  }
  SUBCASE("nothing") {
    socket = fail(Errc::internal, "");
  }
}

TEST_CASE("a relative path counts from the folder of that time, to the end") {
  const ScratchDirectory scratch;
  const fs::path before = fs::current_path();
  fs::current_path(scratch.string());
  {
    const auto socket = open_at(at("socket"));
    fs::current_path(before);
    REQUIRE(socket.has_value());
    CHECK(connects(scratch / "socket"));
  }
  CHECK_FALSE(fs::exists(scratch / "socket"));
}

TEST_CASE("a stale socket is replaced, also one of another kind") {
  const ScratchDirectory scratch;
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    CAPTURE(type);
    {
      const Fd dead(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
      const SocketAddress address = SocketAddress::from(at(scratch / "socket")).value();
      REQUIRE(::bind(dead.get(), address.any(), address.size()) == 0);
    }
    REQUIRE(fs::is_socket(scratch / "socket"));
    const auto socket = open_at(at(scratch / "socket"));
    REQUIRE(socket.has_value());
    CHECK(connects(scratch / "socket"));
  }
}

TEST_CASE("a socket where somebody listens is not taken over") {
  const ScratchDirectory scratch;
  const Fd theirs = bound_by_hand(scratch / "socket");
  std::vector<Fd> waiting;
  REQUIRE(::listen(theirs.get(), 0) == 0);
  SUBCASE("and accepts") {}
  SUBCASE("and has no room for more connections") {
    const SocketAddress address = SocketAddress::from(at(scratch / "socket")).value();
    int status = 0;
    while (status == 0) {
      waiting.push_back(local_socket());
      status = ::connect(waiting.back().get(), address.any(), address.size());
    }
    REQUIRE(errno == EAGAIN);
  }
  const Error error = refusal(at(scratch / "socket"));
  CHECK(error.code == Errc::already_exists);
  CHECK(error.message.ends_with(": somebody listens there"));
  CHECK(fs::is_socket(scratch / "socket"));
}

TEST_CASE("a socket for datagrams that is in use is not taken over") {
  const ScratchDirectory scratch;
  const Fd theirs(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = SocketAddress::from(at(scratch / "socket")).value();
  REQUIRE(::bind(theirs.get(), address.any(), address.size()) == 0);
  CHECK(refusal(at(scratch / "socket")).code == Errc::already_exists);
  CHECK(fs::is_socket(scratch / "socket"));
}

TEST_CASE("what is no socket is left alone") {
  const ScratchDirectory scratch;
  const fs::path path = scratch / "socket";
  SUBCASE("a regular file") {
    make_file(path, "");
  }
  SUBCASE("a folder") {
    fs::create_directory(path);
  }
  SUBCASE("a FIFO") {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  }
  SUBCASE("a symbolic link to nothing") {
    fs::create_symlink("nowhere", path);
  }
  SUBCASE("a symbolic link to a stale socket") {
    (void)bound_by_hand(scratch / "stale");
    fs::create_symlink("stale", path);
  }
  const fs::file_type type = fs::symlink_status(path).type();
  const Error error = refusal(at(path));
  CHECK(error.code == Errc::already_exists);
  CHECK(error.message.ends_with(": what is there is no socket, and is left alone"));
  CHECK(fs::symlink_status(path).type() == type);
}

TEST_CASE("another user's socket is left alone, stale or not") {
  if (::geteuid() != 0) return;  // nobody else can give a file away
  const ScratchDirectory scratch;
  (void)bound_by_hand(scratch / "socket");
  REQUIRE(::lchown((scratch / "socket").c_str(), 12'345, 12'345) == 0);
  const Error error = refusal(at(scratch / "socket"));
  CHECK(error.code == Errc::permission_denied);
  CHECK(error.message.ends_with("belongs to the user number 12345"));
  CHECK(fs::is_socket(scratch / "socket"));
}

TEST_CASE("of two that begin to listen in one folder at once, the second is refused") {
  const ScratchDirectory scratch;
  const Endpoint endpoint = at(scratch / "socket");
  // Bound but not listening yet, as it looks in the middle of the other's work.
  (void)bound_by_hand(scratch / "socket");
  {
    const auto lock = lock_folder(endpoint);
    REQUIRE(lock.has_value());
    REQUIRE(static_cast<bool>(*lock));
    CHECK(refusal(endpoint).code == Errc::busy);
    CHECK(fs::is_socket(scratch / "socket"));
  }
  CHECK(open_at(endpoint).has_value());
}

TEST_CASE("the folder is locked from the look at the path until the socket listens") {
  const ScratchDirectory scratch;
  const Endpoint endpoint = at(scratch / "socket");
  class Asking final : public Admission {
   public:
    explicit Asking(const Endpoint& endpoint) : endpoint_(endpoint) {}
    Result<void> may_activate(const Endpoint&, int) override {
      locked = !lock_folder(endpoint_).has_value();
      return {};
    }
    bool locked = false;

   private:
    const Endpoint& endpoint_;
  };
  Asking admission(endpoint);
  const auto socket = BoundSocket::open(endpoint, admission);
  REQUIRE(socket.has_value());
  CHECK(admission.locked);
  CHECK(lock_folder(endpoint).has_value());
}

TEST_CASE("a socket that may not listen leaves no file behind") {
  const ScratchDirectory scratch;
  class Refusing final : public Admission {
    Result<void> may_activate(const Endpoint&, int) override {
      return fail(Errc::permission_denied, "not today");
    }
  };
  Refusing admission;
  const auto socket = BoundSocket::open(at(scratch / "socket"), admission);
  REQUIRE_FALSE(socket.has_value());
  CHECK(socket.error() == Error{Errc::permission_denied, "not today"});
  CHECK_FALSE(fs::exists(scratch / "socket"));
}

TEST_CASE("a folder that is not there is an error of the system") {
  const ScratchDirectory scratch;
  const Error error = refusal(at(scratch / "nowhere" / "socket"));
  CHECK(error.code == Errc::io_error);
  CHECK(error.message.ends_with(": No such file or directory"));
}

TEST_CASE("a path is taken whole up to 107 bytes, and never cut") {
  const ScratchDirectory scratch;
  const std::string folder = scratch.string() + "/";
  const std::string longest = folder + std::string(107 - folder.size(), 'x');
  {
    const auto socket = open_at(at(longest));
    REQUIRE(socket.has_value());
    CHECK(connects(longest));
  }
  CHECK_FALSE(fs::exists(longest));
  const auto longer = open_at(at(longest + "x"));
  REQUIRE_FALSE(longer.has_value());
  CHECK(longer.error().code == Errc::invalid_argument);
  CHECK(longer.error().message.ends_with("has 108 bytes, and the system takes 107"));
  CHECK(fs::is_empty(scratch.string()));
}
