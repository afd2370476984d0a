// SPDX-License-Identifier: MIT
// A disk that fails, another process, and ends in the middle. The system's own calls are replaced
// here, for this program: they do what is asked for once and go on to the real ones.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <thread>

#include "cleave/handlers/echo.h"
#include "cleave/handlers/upload_claims.h"
#include "cleave/testing/blocked_lane.h"
#include "cleave/testing/test_server.h"
#include "store_server.h"
#include "uploads.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {
std::function<bool(int)> fail_fdatasync;
std::function<bool(int)> fail_fsync;
std::function<void(int)> before_flock;

bool is_directory(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int fdatasync(int fd) {
  if (fail_fdatasync && fail_fdatasync(fd)) {
    errno = EIO;
    return -1;
  }
  static const auto real = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, "fdatasync"));
  return real(fd);
}
extern "C" __attribute__((visibility("default"))) int fsync(int fd) {
  if (fail_fsync && fail_fsync(fd)) {
    errno = EIO;
    return -1;
  }
  static const auto real = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, "fsync"));
  return real(fd);
}
extern "C" __attribute__((visibility("default"))) int flock(int fd, int how) noexcept {
  if (before_flock) std::exchange(before_flock, nullptr)(fd);
  static const auto real = reinterpret_cast<int (*)(int, int)>(::dlsym(RTLD_NEXT, "flock"));
  return real(fd, how);
}

TEST_CASE("a sync that failed is not tried again: nothing of it is promised") {
  StoreServer store;
  // As the system does it: it says so once, and calls the next sync a success.
  std::atomic<int> failures = 0;
  fail_fsync = [&](int fd) { return !is_directory(fd) && failures++ == 0; };
  const std::string body(2'000'000, 'x');
  const Frame refused = store.client.ask(
      StoreServer::put_of("f").set("upload", "u").set("file_size", body.size()), body);
  fail_fsync = nullptr;
  CHECK(refused.text("code") == "io_error");
  const Frame status = store.client.ask(Members().set("cmd", "stat").set("upload", "u"));
  CHECK(status.number("offset").value_or(0) == 0);
  const Frame again = store.client.ask(StoreServer::put_of("f")
                                           .set("upload", "u")
                                           .set("file_size", body.size())
                                           .set("offset", body.size()));
}

TEST_CASE("a sync that failed in the middle of an upload is not tried again") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  const std::unique_ptr<Upload> upload =
      store->upload(request("f", 2 * Upload::kSyncBytes)).value();
  int failures = 0;
  fail_fdatasync = [&](int) { return failures++ == 0; };
  CHECK_FALSE(write(*upload, std::string(Upload::kSyncBytes, 'x')));
  (void)upload->park();  // as Put::let_go does
  fail_fdatasync = nullptr;
  const auto status = store->status(id("u"));
  CHECK_FALSE(status);
}

TEST_CASE("a put whose record could not be made durable is not said to be complete") {
  StoreServer store;
  (void)store.put("warm", "x");
  // The sync of .cleave/uploads behind the record.
  fail_fsync = [&](int fd) {
    struct stat a {};
    struct stat b {};
    return ::fstat(fd, &a) == 0 && ::stat((store.root / ".cleave/uploads").c_str(), &b) == 0 &&
           a.st_ino == b.st_ino;
  };
  const Frame refused =
      store.client.ask(StoreServer::put_of("f").set("upload", "u").set("file_size", 5), "hello");
  fail_fsync = nullptr;
  CHECK(refused.text("code") == "io_error");
  CHECK_FALSE(fs::exists(store.root / "f"));
  const Frame status = store.client.ask(Members().set("cmd", "stat").set("upload", "u"));
  CHECK_FALSE(status.flag("complete"));
  const Frame again = store.client.ask(
      StoreServer::put_of("f").set("upload", "u").set("file_size", 5).set("offset", 5));
  CHECK_FALSE((again.ok() && !fs::exists(store.root / "f")));
}

TEST_CASE("an upload waits its time, whatever time its file is to have") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  UploadRequest wanted = request("f", 3);
  wanted.mtime_ms = 1'000'000'000'000;  // 2001
  {
    const std::unique_ptr<Upload> upload = store->upload(wanted).value();
    REQUIRE(write(*upload, "abc"));
    REQUIRE(upload->park());
    REQUIRE(upload->check());  // and then the process is killed, in the fsync
  }
  const Store after = FileStore::open(root.string()).value();
  CHECK(after->status(id("u")));
}

TEST_CASE("a digest that is asked for is checked, also where the upload is complete") {
  const ScratchDirectory root;
  StoreServer store;
  REQUIRE(store.client.ask(StoreServer::put_of("f").set("upload", "u").set("file_size", 3), "abc")
              .ok());
  const Frame again = store.client.ask(StoreServer::put_of("f")
                                           .set("upload", "u")
                                           .set("file_size", 3)
                                           .set("offset", 3)
                                           .set("sha256", std::string(64, '0')));
  CHECK(again.text("code") == "failed_precondition");
  CHECK(store.client
            .ask(StoreServer::put_of("f")
                     .set("upload", "u")
                     .set("file_size", 3)
                     .set("offset", 3)
                     .set("xxh3", std::string(16, '0')))
            .text("code") == "checksum_mismatch");
}

TEST_CASE("a put that is refused does not forget that its upload is complete") {
  StoreServer store;
  const auto put = [&] {
    return store.client.ask(
        StoreServer::put_of("f").set("upload", "u").set("file_size", 3).set("overwrite", false),
        "abc");
  };
  REQUIRE(put().ok());
  CHECK(put().text("code") == "already_exists");  // its answer was lost, and it tries again
  const Frame status = store.client.ask(Members().set("cmd", "stat").set("upload", "u"));
  CHECK(status.flag("complete"));
}

TEST_CASE("what another process does with an upload before it is locked is seen") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  {
    const std::unique_ptr<Upload> upload = store->upload(request("f", 9)).value();
    REQUIRE(write(*upload, "abc"));
    REQUIRE(upload->park());
  }
  SUBCASE("which goes on in between") {
    before_flock = [&](int) {  // another process
      const std::unique_ptr<Upload> other = store->upload(request("f", 9, 3)).value();
      REQUIRE(other->catch_up());
      REQUIRE(write(*other, "def"));
      REQUIRE(other->park());
    };
    CHECK(store->upload(request("f", 9, 6)).value()->offset() == 6);
    CHECK(fs::file_size(root / ".cleave/uploads/u.data") == 6);
    CHECK(store->status(id("u"))->record.offset == 6);
  }
  SUBCASE("which is completed in between") {
    before_flock = [&](int) {
      const std::unique_ptr<Upload> other = store->upload(request("f", 9, 3)).value();
      REQUIRE(other->catch_up());
      REQUIRE(write(*other, "defghi"));
      REQUIRE(other->finish());
    };
    (void)store->upload(request("f", 9, 3));
    CHECK(store->status(id("u"))->complete);
  }
}

namespace {
Result<void> put(const Store& store, std::string_view file, std::size_t size) {
  UploadRequest wanted{.name = name(file), .size = size};
  Result<std::unique_ptr<Upload>> upload = store->upload(wanted);
  if (!upload) return fail(upload.error());
  if (Result<void> written = write(**upload, std::string(size, 'x')); !written) return written;
  const Result<StoredFile> stored = (*upload)->finish();
  if (!stored) return fail(stored.error());
  return {};
}
}  // namespace

TEST_CASE("a sweep does not count what an upload under way has taken a second time") {
  const ScratchDirectory root;
  const FileStoreOptions options{.limits = {.store_quota_bytes = 1'000}};
  const Store store = FileStore::open(root.string(), options).value();
  {
    const std::unique_ptr<Upload> upload = store->upload(request("d", 500)).value();
    REQUIRE(write(*upload, std::string(400, 'x')));
    store->sweep();
    const auto beside = put(store, "c", 200);
    CHECK(beside);  // 500 + 200
    REQUIRE(write(*upload, std::string(100, 'x')));
    REQUIRE(upload->finish());
  }
  const auto after = put(store, "e", 200);
  CHECK(after);
}

TEST_CASE("a store in use is counted, too") {
  const ScratchDirectory root;
  for (int i = 0; i < 2'100; ++i) make_file(root / ("before/" + std::to_string(i)), "");
  const FileStoreOptions options{.limits = {.store_quota_files = 2'101},
                                 .durability = Durability::none};
  const Store store = FileStore::open(root.string(), options).value();
  fs::remove_all(root / "before");
  for (int i = 0; i < 2'000; ++i) make_file(root / ("others/" + std::to_string(i)), "");
  std::atomic<bool> stop = false;
  std::atomic<int> puts = 0;
  std::thread busy([&] {
    while (!stop) {
      (void)put(store, "x", 0);
      ++puts;
    }
  });
  for (int i = 0; i < 10; ++i) store->sweep();
  stop = true;
  busy.join();
  const auto after = put(store, "y", 0);
  CHECK(after);
}

TEST_CASE("while the work of other handlers hangs, files with digests are stored") {
  ScratchDirectory root;
  TestServer test{[&](Router& router, Loop& loop) {
    add_store(router, loop, FileStore::open(root.string()).value());
  }};
  bool came = false;
  {
    const BlockedLane general(test.loop(), Lane::general);
    TestPeer peer = test.connect();
    const std::string body(3'000'000, 'x');
    // The first job opens; with the next the digests are split off.
    SUBCASE("without (for comparison)") {
      peer.send(R"({"cmd":"put","filename":"f","data_size":3000000})", body);
    }
    SUBCASE("with md5") {
      peer.send(
          R"({"cmd":"put","filename":"f","md5":"00000000000000000000000000000000","data_size":3000000})",
          body);
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!came && std::chrono::steady_clock::now() < until) {
      (void)test.loop().step();
      came = peer.read().has_value();
    }
  }
  CHECK(came);
}

namespace {
std::size_t open_fds() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}
}  // namespace

TEST_CASE("a put has two descriptors, also in a commit") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  const std::size_t before = open_fds();
  constexpr std::size_t kCount = 50;
  std::vector<std::unique_ptr<Upload>> uploads;
  std::vector<Upload*> batch;
  for (std::size_t i = 0; i < kCount; ++i) {
    uploads.push_back(
        store->upload({.name = name("d" + std::to_string(i) + "/f"), .size = 1}).value());
    REQUIRE(write(*uploads.back(), "x"));
    REQUIRE(uploads.back()->check());
    batch.push_back(uploads.back().get());
  }
  std::size_t most = 0;
  fail_fsync = [&](int) {
    most = std::max(most, open_fds());
    return false;
  };
  for (const auto& result : Upload::commit(batch)) CHECK(result);
  fail_fsync = nullptr;
  CHECK(most - before <= 2 * kCount + 2);
}

TEST_CASE("a request that was cancelled says so, also when it was superseded as well") {
  ScratchDirectory root;
  TestServer test{[&](Router& router, Loop& loop) {
    add_store(router, loop, FileStore::open(root.string()).value());
  }};
  TestPeer peer = test.connect();
  const std::string head = R"("cmd":"put","filename":"f","upload":"u","file_size":9,"more":true})";
  peer.send(R"({"id":1,)" + head);
  REQUIRE(test.run_until([&] { return fs::exists(root / ".cleave/uploads/u.data"); }));
  test.settle();
  std::vector<Frame> frames;
  {
    const BlockedLane disk(test.loop(), Lane::disk);
    peer.send(R"({"cmd":"cancel","id":7,"target":1})");
    test.settle();
    peer.send(R"({"id":2,)" + head);
    test.settle();
  }
  REQUIRE(test.run_until([&] {
    for (Frame& frame : peer.read_all()) frames.push_back(std::move(frame));
    return frames.size() >= 2;
  }));
  for (const Frame& frame : frames) {
    if (frame.number("id") == 1) CHECK(frame.text("code") == "cancelled");
  }
}

TEST_CASE("a server and a loop may end in the middle of anything") {
  for (int turns = 0; turns < 12; ++turns) {
    for (const bool destroy : {false, true}) {
      CAPTURE(turns);
      ScratchDirectory root;
      TestServer test{[&](Router& router, Loop& loop) {
        add_store(router, loop, FileStore::open(root.string()).value());
      }};
      TestPeer peer = test.connect();
      TestPeer other = test.connect();
      const std::string body(1'500'000, 'x');
      const auto all = [&](TestPeer& from, int at) {
        for (int i = at; i < at + 6; ++i) {
          from.send(
              R"({"id":)" + std::to_string(i) + R"(,"cmd":"put","filename":"f)" +
                  std::to_string(i) + R"(","upload":"u)" + std::to_string(i % 3) +
                  R"(","file_size":1500000,"md5":"00000000000000000000000000000000","data_size":1500000})",
              std::string_view(body).substr(0, i % 2 == 0 ? body.size() : 700'000));
          if (i % 2 != 0) break;
        }
        from.send(R"({"id":99,"cmd":"put","filename":"small","data_size":3})", "abc");
      };
      {
        std::optional<BlockedLane> disk;
        if (turns % 3 == 0) disk.emplace(test.loop(), Lane::disk);
        all(peer, 0);
        all(other, 10);
        for (int i = 0; i < turns; ++i) (void)test.loop().step();
        if (turns % 4 == 1) peer.wire().reset();
        for (int i = 0; i < turns; ++i) (void)test.loop().step();
        if (destroy) test.destroy_server();
      }
      for (int i = 0; i < turns % 5; ++i) (void)test.loop().step();
    }
  }
}

namespace {
bool is_same(int fd, const fs::path& path) {
  struct stat a {};
  struct stat b {};
  return ::fstat(fd, &a) == 0 && ::stat(path.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}
}  // namespace

TEST_CASE("a name that could not be synced is not answered with ok at the second attempt") {
  StoreServer store;
  (void)store.put("warm", "x");
  std::atomic<int> synced = 0;
  fail_fsync = [&](int fd) {
    if (!is_same(fd, store.root.string()) || !fs::exists(store.root / "f")) return false;
    return synced++ == 0;
  };
  const Frame refused =
      store.client.ask(StoreServer::put_of("f").set("upload", "u").set("file_size", 5), "hello");
  CHECK(refused.text("code") == "io_error");
  const Frame again = store.client.ask(
      StoreServer::put_of("f").set("upload", "u").set("file_size", 5).set("offset", 5));
  fail_fsync = nullptr;
  CHECK_FALSE((again.ok() && synced == 1));
}

TEST_CASE("a lack of descriptors at the end of a put is said as what it is") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  const auto upload = store->upload({.name = name("f"), .size = 1}).value();
  REQUIRE(write(*upload, "x"));
  REQUIRE(upload->check());
  std::vector<Fd> all;
  for (;;) {
    Fd fd(::open("/dev/null", O_RDONLY));
    if (!fd) break;
    all.push_back(std::move(fd));
  }
  Upload* const one = upload.get();
  const auto result = std::move(Upload::commit({&one, 1}).front());
  all.clear();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::overloaded);
}

TEST_CASE("an empty file that was deleted is stored again under the same upload") {
  StoreServer store;
  const auto put = [&] {
    return store.client.ask(StoreServer::put_of("f").set("upload", "u").set("file_size", 0));
  };
  REQUIRE(put().ok());
  REQUIRE(store.ask("delete", "f").ok());
  CHECK(put().ok());
  CHECK(fs::exists(store.root / "f"));
}

TEST_CASE("so many uploads are remembered, and no more are begun") {
  const ScratchDirectory root;
  const FileStoreOptions options{.limits = {.store_partial_files = 10},
                                 .durability = Durability::none};
  const Store store = FileStore::open(root.string(), options).value();
  for (int i = 0; i < 10; ++i) {
    const auto upload = store->upload(request("f", 1, 0, "u" + std::to_string(i))).value();
    REQUIRE(upload->park());
  }
  const auto refused = store->upload(request("f", 1, 0, "more"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::quota_exceeded);
  CHECK(refused.error().limit == "store_partial_files");
  CHECK(store->upload(request("f", 1, 0, "u3")));
  REQUIRE(store->remove(id("u4")));
  CHECK(store->upload(request("f", 1, 0, "more")));
  const Store fewer =
      FileStore::open(root.string(), {.limits = {.store_partial_files = 5}}).value();
  CHECK(std::distance(fs::directory_iterator(root / ".cleave/uploads"), {}) <= 10);
}
