// SPDX-License-Identifier: MIT
#include "cleave/handlers/beneath.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

Fd open_root(const ScratchDirectory& scratch) {
  return Fd(::open(scratch.string().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::string read_all(const Fd& file) {
  std::string bytes(64, '\0');
  const ssize_t count = ::read(file.get(), bytes.data(), bytes.size());
  REQUIRE(count >= 0);
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

int error_of_file(const Beneath& root, const std::string& path) {
  const OrErrno<Fd> opened = root.open_file(path);
  return opened ? 0 : opened.error();
}

}  // namespace

// Both ways must behave alike: with the kernel's resolver, and part by part.
#define FOR_BOTH_WAYS(portable) \
  bool portable = false;        \
  SUBCASE("by the kernel") {}   \
  SUBCASE("part by part") {     \
    portable = true;            \
  }

TEST_CASE("files and directories beneath the root are opened") {
  FOR_BOTH_WAYS(portable);
  const ScratchDirectory scratch;
  make_file(scratch / "a/b/c", "hello");
  const Beneath root(open_root(scratch), portable);
  CHECK(read_all(root.open_file("a/b/c").value()) == "hello");
  CHECK(root.open_directory("a/b"));
  CHECK(root.open_directory(""));
  CHECK(error_of_file(root, "a/x") == ENOENT);
  CHECK(error_of_file(root, "x/y") == ENOENT);
  CHECK(error_of_file(root, "a/b/c/d") == ENOTDIR);
  CHECK(error_of_file(root, "a/b") == EISDIR);
  CHECK(root.open_directory("a/b/c").error() == ENOTDIR);
}

TEST_CASE("no symbolic link is followed, wherever it stands and wherever it leads") {
  FOR_BOTH_WAYS(portable);
  const ScratchDirectory outside;
  make_file(outside / "secret", "secret");
  const ScratchDirectory scratch;
  make_file(scratch / "d/inside", "inside");
  fs::create_symlink(outside / "secret", scratch / "file");
  fs::create_symlink(outside.string(), scratch / "dir");
  fs::create_symlink("d", scratch / "local");
  fs::create_symlink("inside", scratch / "d/local");
  fs::create_symlink("nowhere", scratch / "dangling");
  fs::create_symlink("loop", scratch / "loop");
  const Beneath root(open_root(scratch), portable);
  for (const char* path : {"file", "dir/secret", "local/inside", "d/local", "dangling", "loop"}) {
    CAPTURE(path);
    CHECK(error_of_file(root, path) == ELOOP);
  }
  for (const char* path : {"dir", "local", "dangling", "loop", "file"}) {
    CAPTURE(path);
    CHECK(root.open_directory(path).error() == ELOOP);
    CHECK(root.make_directories(std::string(path) + "/new").error() == ELOOP);
  }
  CHECK_FALSE(fs::exists(outside / "new"));
  CHECK_FALSE(fs::exists(scratch / "d/new"));
  CHECK_FALSE(fs::exists(scratch / "nowhere"));
}

TEST_CASE("a directory that is swapped for a symbolic link again and again never leads outside") {
  FOR_BOTH_WAYS(portable);
  const ScratchDirectory outside;
  make_file(outside / "f", "outside");
  const ScratchDirectory scratch;
  make_file(scratch / "real/f", "inside");
  fs::create_symlink(outside.string(), scratch / "link");
  const Beneath root(open_root(scratch), portable);
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    const auto swap = [&](const char* name) {
      fs::rename(scratch / name, scratch / "d");
      fs::rename(scratch / "d", scratch / name);
    };
    while (!stop) {
      swap("real");
      swap("link");
    }
  });
  int inside = 0;
  for (int i = 0; i < 20'000 || (inside == 0 && i < 1'000'000); ++i) {
    const OrErrno<Fd> opened = root.open_file("d/f");
    if (!opened) continue;
    ++inside;
    if (read_all(*opened) != "inside") {
      FAIL_CHECK("a file outside the root was opened");
      break;
    }
  }
  stop = true;
  swapper.join();
  CHECK(inside > 0);
}

TEST_CASE("a FIFO, a socket and a device are refused without waiting") {
  FOR_BOTH_WAYS(portable);
  const ScratchDirectory scratch;
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (scratch / "sock").string();
  std::memcpy(static_cast<char*>(address.sun_path), path.c_str(), path.size() + 1);
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const Beneath root(open_root(scratch), portable);
  CHECK(error_of_file(root, "fifo") == ENXIO);
  CHECK(error_of_file(root, "sock") == ENXIO);
  const Beneath devices(Fd(::open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), portable);
  CHECK(error_of_file(devices, "null") == ENXIO);
}

TEST_CASE("missing directories are made, and those that are there are kept") {
  FOR_BOTH_WAYS(portable);
  const ScratchDirectory scratch;
  make_file(scratch / "a/keep", "kept");
  const Beneath root(open_root(scratch), portable);
  REQUIRE(root.make_directories("a/b/c"));
  REQUIRE(root.make_directories("a/b/c"));
  CHECK(fs::is_directory(scratch / "a/b/c"));
  CHECK(content_of(scratch / "a/keep") == "kept");
  CHECK(root.make_directories("a/keep/x").error() == ENOTDIR);
}

TEST_CASE("renaming without replacing leaves what is there as it was") {
  FOR_BOTH_WAYS(portable);
  const ScratchDirectory scratch;
  make_file(scratch / "new", "new");
  make_file(scratch / "old", "old");
  make_file(scratch / "dir/f", "f");
  fs::create_directory(scratch / "empty");
  fs::create_symlink("nowhere", scratch / "dangling");
  const Beneath root(open_root(scratch), portable);
  const Fd top = root.open_directory("").value();
  CHECK(root.rename(top, "new", top, "old", false).error() == EEXIST);
  CHECK(root.rename(top, "new", top, "dangling", false).error() == EEXIST);
  CHECK(root.rename(top, "new", top, "empty", false).error() == EEXIST);
  CHECK(root.rename(top, "dir", top, "empty", false).error() == EEXIST);
  CHECK(root.rename(top, "gone", top, "free", false).error() == ENOENT);
  CHECK(content_of(scratch / "old") == "old");
  CHECK(content_of(scratch / "new") == "new");
  CHECK(root.rename(top, "new", top, "free", false));
  CHECK(content_of(scratch / "free") == "new");
  CHECK_FALSE(fs::exists(scratch / "new"));
  CHECK(root.rename(top, "dir", top, "moved", false));
  CHECK(content_of(scratch / "moved/f") == "f");
  CHECK(root.rename(top, "free", top, "old", true));
  CHECK(content_of(scratch / "old") == "new");
}
