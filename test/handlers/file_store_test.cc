// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

using Store = std::shared_ptr<const FileStore>;

FileName name(std::string_view text) {
  return FileName::parse(text).value();
}

Result<StoredFile> put(const Store& store, UploadRequest request,
                       std::vector<std::string_view> pieces) {
  Result<std::unique_ptr<Upload>> upload = store->upload(std::move(request));
  if (!upload) return fail(upload.error());
  if (Result<void> written = (*upload)->write(pieces); !written) return fail(written.error());
  return (*upload)->finish();
}

Result<StoredFile> put(const Store& store, std::string_view file, std::string_view content) {
  return put(store, {.name = name(file)}, {content});
}

template <typename T>
Errc code_of(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

std::size_t temporaries(const ScratchDirectory& scratch) {
  const fs::path directory = scratch / Upload::kDirectory;
  if (!fs::exists(directory)) return 0;
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

Result<bool> verify_all(const Store& store, std::string_view file) {
  Result<Verification> verification = store->verify(name(file));
  if (!verification) return fail(verification.error());
  for (;;) {
    Result<bool> step = verification->step();
    if (!step || *step) return step;
  }
}

std::vector<std::string> names_of(const DirectoryPage& page) {
  std::vector<std::string> names;
  for (const DirectoryPage::Entry& entry : page.entries) names.push_back(entry.name);
  return names;
}

// A tmpfs of one MiB over a directory, seen by this process alone. Needs root.
class SmallDisk {
 public:
  explicit SmallDisk(std::string directory) : directory_(std::move(directory)) {
    mounted_ = ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("none", directory_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(directory_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::string directory_;
  bool mounted_ = false;
};

}  // namespace

TEST_CASE("a stored file has the content, the digests and the time that were sent") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  const Result<StoredFile> stored =
      put(store,
          {.name = name("a/b/c.txt"),
           .size = 3,
           .mtime_ms = 1'234'567'890'123,
           .expected = {{DigestKind::md5, "900150983cd24fb0d6963f7d28e17f72"}}},
          {"a", "", "bc"});
  REQUIRE(stored);
  CHECK(stored->size == 3);
  REQUIRE(stored->digests.size() == 2);
  CHECK(stored->digests[0].kind == DigestKind::xxh3);
  CHECK(stored->digests[1].hex == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(content_of(scratch / "a/b/c.txt") == "abc");
  CHECK(store->status(name("a/b/c.txt"))->mtime_ms == 1'234'567'890'123);
  CHECK(store->status(name("a/b/c.txt"))->size == 3);
  CHECK(store->status(name("a/b"))->type == FileStatus::Type::directory);
  CHECK(temporaries(scratch) == 0);
}

TEST_CASE("an empty file can be stored") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  CHECK(put(store, {.name = name("empty"), .size = 0}, {})->size == 0);
  CHECK(content_of(scratch / "empty").empty());
}

TEST_CASE("many small pieces arrive in order") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  std::string content;
  for (int i = 0; i < 1'000; ++i) content += std::to_string(i) + ' ';
  std::vector<std::string_view> pieces;
  for (std::size_t at = 0; at < content.size(); at += 3) {
    pieces.push_back(std::string_view(content).substr(at, 3));
  }
  REQUIRE(put(store, {.name = name("f")}, pieces));
  CHECK(content_of(scratch / "f") == content);
}

TEST_CASE("nothing is visible before the end, and an upload that is given up leaves nothing") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  {
    std::unique_ptr<Upload> upload = store->upload({.name = name("new/f")}).value();
    const std::array<std::string_view, 1> piece{"half"};
    REQUIRE(upload->write(piece));
    CHECK(temporaries(scratch) == 1);
    CHECK_FALSE(fs::exists(scratch / "new"));
    CHECK(store->list(std::nullopt, "", 10)->entries.empty());
  }
  CHECK(temporaries(scratch) == 0);
  CHECK_FALSE(fs::exists(scratch / "new"));
}

TEST_CASE("a failed put leaves the old content and no temporary file") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  REQUIRE(put(store, "f", "old"));
  SUBCASE("a digest differs") {
    CHECK(code_of(put(store,
                      {.name = name("f"),
                       .expected = {{DigestKind::md5, "00000000000000000000000000000000"}}},
                      {"new"})) == Errc::checksum_mismatch);
  }
  SUBCASE("fewer bytes came than were announced") {
    CHECK(code_of(put(store, {.name = name("f"), .size = 4}, {"new"})) == Errc::invalid_argument);
  }
  SUBCASE("more bytes came than were announced") {
    CHECK(code_of(put(store, {.name = name("f"), .size = 2}, {"new"})) == Errc::invalid_argument);
  }
  SUBCASE("it was not to be replaced") {
    CHECK(code_of(put(store, {.name = name("f"), .overwrite = false}, {"new"})) ==
          Errc::already_exists);
  }
  SUBCASE("the disk has no room for what is announced") {
    CHECK(code_of(put(store, {.name = name("f"), .size = std::uint64_t{1} << 62}, {"new"})) ==
          Errc::no_space);
  }
  SUBCASE("the process may not write files so large") {
    const auto before = std::signal(SIGXFSZ, SIG_IGN);
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
    const rlimit small{.rlim_cur = 100'000, .rlim_max = old.rlim_max};
    const std::string large(200'000, 'x');
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const Result<StoredFile> stored = put(store, {.name = name("f")}, {large});
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &old) == 0);
    std::signal(SIGXFSZ, before);
    CHECK(code_of(stored) == Errc::too_large);
  }
  CHECK(content_of(scratch / "f") == "old");
  CHECK(temporaries(scratch) == 0);
}

TEST_CASE("a full disk is said as no_space, and the old content stays") {
  const ScratchDirectory scratch;
  const SmallDisk disk(scratch.string());
  if (!disk.mounted()) {
    MESSAGE("skipped: mounting a small disk is not allowed here");
    return;
  }
  const StoreLimits all{.store_free_bytes = 0, .store_free_files = 0};
  const Store store = FileStore::open(scratch.string(), {.limits = all}).value();
  REQUIRE(put(store, "f", "old"));
  const std::string large(2 * 1024 * 1024, 'x');
  CHECK(code_of(put(store, {.name = name("f")}, {large})) == Errc::no_space);
  CHECK(code_of(put(store, {.name = name("f"), .size = large.size()}, {large})) == Errc::no_space);
  CHECK(content_of(scratch / "f") == "old");
  CHECK(temporaries(scratch) == 0);
  CHECK(put(store, "g", "fits"));
}

TEST_CASE("a put cannot replace a directory, pass through a file, or follow a symbolic link") {
  const ScratchDirectory outside;
  make_file(outside / "victim", "untouched");
  const ScratchDirectory scratch;
  make_file(scratch / "file", "file");
  fs::create_directory(scratch / "dir");
  fs::create_symlink(outside / "victim", scratch / "link");
  fs::create_symlink(outside.string(), scratch / "out");
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  const Store store = FileStore::open(scratch.string()).value();
  CHECK(code_of(put(store, "dir", "x")) == Errc::failed_precondition);
  CHECK(code_of(put(store, "file/x", "x")) == Errc::failed_precondition);
  CHECK(code_of(put(store, "link", "x")) == Errc::permission_denied);
  CHECK(code_of(put(store, "out/victim", "x")) == Errc::permission_denied);
  CHECK(code_of(put(store, "out/new/x", "x")) == Errc::permission_denied);
  CHECK(code_of(put(store, "fifo", "x")) == Errc::failed_precondition);
  CHECK(content_of(outside / "victim") == "untouched");
  CHECK(fs::is_symlink(scratch / "link"));
  CHECK(temporaries(scratch) == 0);
}

TEST_CASE("a parent that becomes a symbolic link during the upload is not followed") {
  const ScratchDirectory outside;
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "dir");
  const Store store = FileStore::open(scratch.string()).value();
  std::unique_ptr<Upload> upload = store->upload({.name = name("dir/f")}).value();
  fs::remove(scratch / "dir");
  fs::create_symlink(outside.string(), scratch / "dir");
  CHECK(code_of(upload->finish()) == Errc::permission_denied);
  CHECK(fs::is_empty(outside.string()));
}

TEST_CASE("a symbolic link that takes the name during the upload is replaced, not followed") {
  const ScratchDirectory outside;
  make_file(outside / "victim", "untouched");
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  std::unique_ptr<Upload> upload = store->upload({.name = name("f")}).value();
  fs::create_symlink(outside / "victim", scratch / "f");
  REQUIRE(upload->finish());
  CHECK(fs::is_regular_file(fs::symlink_status(scratch / "f")));
  CHECK(content_of(outside / "victim") == "untouched");
}

TEST_CASE("of many puts at once that may not replace, exactly one wins") {
  bool portable = false;
  SUBCASE("by the kernel") {}
  SUBCASE("by a second link") {
    portable = true;
  }
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string(), {.portable = portable}).value();
  std::vector<std::unique_ptr<Upload>> uploads;
  for (int i = 0; i < 8; ++i) {
    uploads.push_back(store->upload({.name = name("f"), .overwrite = false}).value());
  }
  std::atomic<int> won = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (std::unique_ptr<Upload>& upload : uploads) {
    threads.emplace_back([&won, &refused, &upload] {
      const Result<StoredFile> stored = upload->finish();
      if (stored) ++won;
      if (!stored && stored.error().code == Errc::already_exists) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  uploads.clear();
  CHECK(won == 1);
  CHECK(refused == 7);
  CHECK(temporaries(scratch) == 0);
}

TEST_CASE("opening a store removes what dead processes left, and nothing else") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  const std::unique_ptr<Upload> living = store->upload({.name = name("f")}).value();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Killed in the middle: no destructor runs.
    const auto upload = store->upload({.name = name("g")});
    if (!upload) ::_exit(1);
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  make_file(scratch / ".cleave/tmp/notes", "somebody else's");
  REQUIRE(temporaries(scratch) == 3);
  const Store second = FileStore::open(scratch.string()).value();
  CHECK(temporaries(scratch) == 2);
  CHECK(fs::exists(scratch / ".cleave/tmp/notes"));
  CHECK(living->finish());
  CHECK(fs::exists(scratch / "f"));
}

TEST_CASE("the store's own directory may be removed while it is in use") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  REQUIRE(put(store, "f", "one"));
  fs::remove_all(scratch / ".cleave");
  REQUIRE(put(store, "f", "two"));
  CHECK(content_of(scratch / "f") == "two");
}

TEST_CASE("the root is made where it is missing, and refused where it is no directory") {
  const ScratchDirectory scratch;
  CHECK(FileStore::open((scratch / "root").string()));
  CHECK(fs::is_directory(scratch / "root"));
  make_file(scratch / "file", "");
  CHECK(code_of(FileStore::open((scratch / "file").string())) == Errc::failed_precondition);
  CHECK(code_of(FileStore::open((scratch / "no/root").string())) == Errc::not_found);
}

TEST_CASE("a file that is open keeps its content while another takes its name") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  REQUIRE(put(store, "f", "old"));
  const OpenedFile file = store->open_file(name("f")).value();
  REQUIRE(put(store, "f", "newer"));
  std::array<char, 8> bytes{};
  CHECK(file.status.size == 3);
  CHECK(::pread(file.file->get(), bytes.data(), bytes.size(), 0) == 3);
  CHECK(std::string_view(bytes.data(), 3) == "old");
}

TEST_CASE("what cannot be read is refused by what it is") {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "dir");
  fs::create_symlink("/etc/passwd", scratch / "link");
  REQUIRE(::mkfifo((scratch / "fifo").c_str(), 0600) == 0);
  const Store store = FileStore::open(scratch.string()).value();
  CHECK(code_of(store->open_file(name("none"))) == Errc::not_found);
  CHECK(code_of(store->open_file(name("dir"))) == Errc::failed_precondition);
  CHECK(code_of(store->open_file(name("link"))) == Errc::permission_denied);
  CHECK(code_of(store->open_file(name("fifo"))) == Errc::failed_precondition);
  CHECK(store->status(name("link"))->type == FileStatus::Type::other);
  CHECK(store->status(name("fifo"))->type == FileStatus::Type::other);
  CHECK(code_of(store->status(name("none"))) == Errc::not_found);
}

TEST_CASE("a directory is listed in pages, sorted by bytes, without the store's own") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  for (const char* file : {"b", "a", "B", "\xC3\xA9", "sub/x", "sub/y", "ab"}) {
    REQUIRE(put(store, file, file));
  }
  make_file(scratch / "not\nshown", "");
  make_file(scratch / "nor\xFFthis", "");
  const DirectoryPage all = store->list(std::nullopt, "", 100).value();
  CHECK(names_of(all) == std::vector<std::string>{"B", "a", "ab", "b", "sub", "\xC3\xA9"});
  CHECK_FALSE(all.next);
  CHECK(all.entries[1].status.size == 1);
  CHECK(all.entries[4].status.type == FileStatus::Type::directory);

  const DirectoryPage first = store->list(std::nullopt, "", 4).value();
  CHECK(names_of(first) == std::vector<std::string>{"B", "a", "ab", "b"});
  REQUIRE(first.next);
  const DirectoryPage rest = store->list(std::nullopt, *first.next, 2).value();
  CHECK(names_of(rest) == std::vector<std::string>{"sub", "\xC3\xA9"});
  CHECK_FALSE(rest.next);
  CHECK(names_of(store->list(name("sub"), "", 100).value()) == std::vector<std::string>{"x", "y"});
  CHECK(code_of(store->list(name("none"), "", 1)) == Errc::not_found);
  CHECK(code_of(store->list(name("a"), "", 1)) == Errc::failed_precondition);
}

TEST_CASE("a directory of many entries is listed whole, page by page") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  std::vector<std::string> expected;
  for (int i = 10'000; i < 13'000; ++i) {
    expected.push_back(std::to_string(i));
    make_file(scratch / ("d/" + expected.back()), "");
  }
  std::vector<std::string> found;
  std::string after;
  for (;;) {
    const DirectoryPage page = store->list(name("d"), after, 700).value();
    CHECK(page.entries.size() <= 700);
    for (const std::string& entry : names_of(page)) found.push_back(entry);
    if (!page.next) break;
    after = *page.next;
  }
  CHECK(found == expected);
}

TEST_CASE("files and empty directories are deleted, full ones are not") {
  const ScratchDirectory outside;
  make_file(outside / "kept", "kept");
  const ScratchDirectory scratch;
  make_file(scratch / "d/f", "f");
  fs::create_symlink(outside / "kept", scratch / "link");
  const Store store = FileStore::open(scratch.string()).value();
  CHECK(code_of(store->remove(name("d"))) == Errc::failed_precondition);
  CHECK(store->remove(name("d/f")));
  CHECK(store->remove(name("d")));
  CHECK(store->remove(name("link")));
  CHECK(code_of(store->remove(name("d"))) == Errc::not_found);
  CHECK(code_of(store->remove(name("d/f"))) == Errc::not_found);
  CHECK(content_of(outside / "kept") == "kept");
}

TEST_CASE("files and directories are moved, and their digest with them") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  REQUIRE(put(store, "a/f", "one"));
  REQUIRE(put(store, "g", "two"));
  const std::optional<std::string> xxh3 = store->open_file(name("a/f"))->xxh3;
  CHECK(code_of(store->move(name("a/f"), name("g"), false)) == Errc::already_exists);
  CHECK(content_of(scratch / "g") == "two");
  CHECK(store->move(name("a/f"), name("g"), true));
  CHECK(content_of(scratch / "g") == "one");
  CHECK(store->open_file(name("g"))->xxh3 == xxh3);
  CHECK(store->move(name("g"), name("x/y/z"), false));
  CHECK(content_of(scratch / "x/y/z") == "one");
  CHECK(store->move(name("x"), name("w"), true));
  CHECK(content_of(scratch / "w/y/z") == "one");
}

TEST_CASE("a move that cannot be done changes nothing") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  REQUIRE(put(store, "d/f", "f"));
  REQUIRE(put(store, "full/f", "f"));
  REQUIRE(put(store, "file", "file"));
  CHECK(code_of(store->move(name("none"), name("new/f"), true)) == Errc::not_found);
  CHECK_FALSE(fs::exists(scratch / "new"));
  CHECK(code_of(store->move(name("d"), name("d/e"), true)) == Errc::invalid_argument);
  CHECK(code_of(store->move(name("d"), name("full"), true)) == Errc::failed_precondition);
  CHECK(code_of(store->move(name("d"), name("file"), true)) == Errc::failed_precondition);
  CHECK(code_of(store->move(name("file"), name("d"), true)) == Errc::failed_precondition);
  CHECK(store->move(name("file"), name("file"), true));
  CHECK(content_of(scratch / "file") == "file");
  CHECK(content_of(scratch / "d/f") == "f");
}

TEST_CASE("verify compares the content with the digest that was stored with it") {
  const ScratchDirectory scratch;
  const Store store = FileStore::open(scratch.string()).value();
  const std::string large(Verification::kStepBytes + 1'000, 'x');
  REQUIRE(put(store, "f", large));
  if (!store->open_file(name("f"))->xxh3) {
    MESSAGE("skipped: this file system keeps no attributes");
    return;
  }
  CHECK(verify_all(store, "f").value());
  {
    std::fstream file(scratch / "f", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(1'000'000);
    file.put('y');
  }
  CHECK(code_of(verify_all(store, "f")) == Errc::checksum_mismatch);
  make_file(scratch / "plain", "by hand");
  CHECK(code_of(verify_all(store, "plain")) == Errc::failed_precondition);
  CHECK(code_of(verify_all(store, "none")) == Errc::not_found);
}
