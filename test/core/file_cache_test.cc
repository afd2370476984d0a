// SPDX-License-Identifier: MIT
#include "cleave/core/file_cache.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "cleave/core/file.h"
#include "cleave/testing/blocked_lane.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/scratch_directory.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

constexpr std::size_t kMiB = 1024 * 1024;

std::string content(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + (i / 1'000) % 26);
  return bytes;
}

// A server with one file.
struct World {
  explicit World(std::size_t size) : bytes(content(size)) { make_file(folder / "file", bytes); }

  ScratchDirectory folder;
  std::string bytes;
  TestServer test{[this](Router& router, Loop&) {
    router.add("file", {.summary = "the file"},
               collected([this](const Request&, std::string_view) -> Result<Reply> {
                 auto fd = std::make_shared<const Fd>(
                     ::open((folder / "file").c_str(), O_RDONLY | O_CLOEXEC));
                 return Reply{{}, FileRange{std::move(fd), 0, bytes.size()}, {}};
               }));
    router.add("hello", {.summary = "says hello"},
               collected([](const Request&, std::string_view) -> Result<Reply> {
                 return Reply::text("hello");
               }));
  }};
};

}  // namespace

TEST_CASE("a file that has just been written is cached, and what is fetched is") {
  const ScratchDirectory folder;
  make_file(folder / "file", content(kMiB));
  const Fd file(::open((folder / "file").c_str(), O_RDWR | O_CLOEXEC));
  CHECK(is_cached(file.get(), 0, kMiB));
  CHECK(is_cached(file.get(), 0, 0));
  // Written out and dropped, where the file system keeps its files anywhere else than in memory.
  REQUIRE(::fsync(file.get()) == 0);
  REQUIRE(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
  MESSAGE("dropped, the file is still cached: ", is_cached(file.get(), 0, kMiB));
  fetch_into_cache(file.get(), 0, kMiB);
  CHECK(is_cached(file.get(), 0, kMiB));
  CHECK(is_cached(file.get(), kMiB / 2, 1'000));
}

TEST_CASE(
    "a file that is not in memory is fetched by the pool, and meanwhile others are answered") {
  World world(9 * kMiB);
  TestPeer download = world.test.connect();
  TestPeer peer = world.test.connect();
  download.wire().set_files_cold(true);
  std::optional<BlockedLane> hung(std::in_place, world.test.loop(), Lane::disk);
  download.send(R"({"cmd":"file"})");
  peer.send(R"({"cmd":"hello"})");
  world.test.settle();
  CHECK(peer.read()->body == "hello");
  CHECK_FALSE(download.read());
  // It is the disk that is late, and not the peer.
  world.test.advance(Millis(120'000));
  CHECK_FALSE(download.wire().closed());
  hung.reset();
  std::optional<Frame> frame;
  CHECK(world.test.run_until([&] { return (frame = download.read()).has_value(); }));
  CHECK(frame->body == world.bytes);
}

TEST_CASE("a peer that goes while its file is fetched is let go") {
  World world(kMiB);
  std::optional<BlockedLane> hung(std::in_place, world.test.loop(), Lane::disk);
  {
    TestPeer download = world.test.connect();
    download.wire().set_files_cold(true);
    download.send(R"({"cmd":"file"})");
    world.test.settle();
    download.wire().reset();
    world.test.settle();
    CHECK(world.test.server()->connections() == 0);
  }
  TestPeer other = world.test.connect();
  other.wire().set_files_cold(true);
  other.send(R"({"cmd":"file"})");
  world.test.settle();
  world.test.destroy_server();
  hung.reset();
}
