// SPDX-License-Identifier: MIT
#include "cleave/handlers/upload.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "cleave/testing/scratch_directory.h"
#include "uploads.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

// Writes `bytes` of a file of `size` and breaks off.
void break_off(const Store& store, std::string_view bytes, std::uint64_t size) {
  const std::unique_ptr<Upload> upload = store->upload(request("f", size)).value();
  REQUIRE(write(*upload, bytes));
  REQUIRE(upload->park());
}

std::vector<std::string> kept(const ScratchDirectory& root) {
  std::vector<std::string> names;
  const fs::path directory = root / UploadRecord::kDirectory;
  if (!fs::exists(directory)) return names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

template <typename T>
Errc code_of(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

void age(const fs::path& file, std::int64_t seconds) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  const timespec then{status.st_mtim.tv_sec - seconds, 0};
  const std::array<timespec, 2> times{then, then};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times.data(), 0) == 0);
}

}  // namespace

// ---- Ids ----------------------------------------------------------------------------------------

TEST_CASE("an upload's id is short and has no character that a file system could read otherwise") {
  for (const char* good : {"a", "..", ".", "A-z_0.9", "x.json", "x.data"}) {
    CAPTURE(good);
    CHECK(UploadId::parse(good));
  }
  CHECK(UploadId::parse(std::string(128, 'a')));
  for (const char* bad : {"", "a/b", "a b", "\xC3\xA4", "a\n", "a\\b"}) {
    CAPTURE(bad);
    CHECK(code_of(UploadId::parse(bad)) == Errc::invalid_argument);
  }
  CHECK(code_of(UploadId::parse(std::string(129, 'a'))) == Errc::invalid_argument);
}

TEST_CASE("uploads whose ids look like names of the store's own files do not meet") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  const std::vector<std::string> ids = {"a", "a.data", "a.json", "a.new", ".", ".."};
  for (std::size_t at = 0; at < ids.size(); ++at) {
    const std::unique_ptr<Upload> upload =
        store->upload(request("f" + std::to_string(at), 10, 0, ids[at])).value();
    REQUIRE(write(*upload, std::string(at, 'x')));
    REQUIRE(upload->park());
  }
  for (std::size_t at = 0; at < ids.size(); ++at) {
    CAPTURE(ids[at]);
    CHECK(store->status(id(ids[at]))->record.offset == at);
  }
}

// ---- To break off and to go on ------------------------------------------------------------------

TEST_CASE("an upload that broke off goes on where it is durable, also in another process's store") {
  const ScratchDirectory root;
  break_off(FileStore::open(root.string()).value(), "hello ", 11);
  CHECK_FALSE(fs::exists(root / "f"));
  const Store store = FileStore::open(root.string()).value();
  const UploadStatus status = store->status(id("u")).value();
  CHECK_FALSE(status.complete);
  CHECK(status.record.name == "f");
  CHECK(status.record.size == 11);
  CHECK(status.record.offset == 6);

  UploadRequest rest = request("f", 11, 6);
  rest.expected = {{DigestKind::md5, "5eb63bbbe01eeed093cb22bb8f5acdc3"}};  // of the whole
  std::unique_ptr<Upload> upload = store->upload(rest).value();
  REQUIRE(upload->offset() == 6);
  REQUIRE(upload->catch_up());
  REQUIRE(write(*upload, "world"));
  const StoredFile stored = upload->finish().value();
  CHECK(stored.size == 11);
  CHECK(content_of(root / "f") == "hello world");
  CHECK(store->open_file(name("f"))->xxh3 == stored.digests[0].hex);
  upload.reset();
  CHECK(kept(root) == std::vector<std::string>{"u.json"});
}

TEST_CASE("what was stored before is read in steps") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  const std::string bytes(2 * Upload::kStepBytes + 1, 'x');
  break_off(store, bytes, bytes.size());
  const std::unique_ptr<Upload> upload =
      store->upload(request("f", bytes.size(), bytes.size())).value();
  CHECK_FALSE(upload->catch_up().value());
  CHECK_FALSE(upload->catch_up().value());
  CHECK(upload->catch_up());
  Digest whole = Digest::create(DigestKind::xxh3).value();
  whole.update(bytes);
  CHECK(upload->finish()->digests[0].hex == whole.finish());
}

TEST_CASE("what came and is not durable is not promised, and not there when the upload goes on") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  {
    const std::unique_ptr<Upload> upload = store->upload(request("f", 9)).value();
    REQUIRE(write(*upload, "abc"));
    REQUIRE(upload->park());
    REQUIRE(write(*upload, "XYZ"));  // and then its process is killed
  }
  CHECK(store->status(id("u"))->record.offset == 3);
  const std::unique_ptr<Upload> upload = store->upload(request("f", 9, 3)).value();
  CHECK(upload->offset() == 3);
  REQUIRE(upload->catch_up());
  REQUIRE(write(*upload, "defghi"));
  REQUIRE(upload->finish());
  CHECK(content_of(root / "f") == "abcdefghi");
}

TEST_CASE("an upload of which nothing is durable leaves nothing") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  {
    const std::unique_ptr<Upload> upload = store->upload(request("f", 9)).value();
    REQUIRE(write(*upload, "abc"));
  }
  CHECK(kept(root).empty());
  CHECK(code_of(store->status(id("u"))) == Errc::not_found);
}

TEST_CASE("so much of a long upload is durable by itself") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  const std::string bytes(Upload::kSyncBytes, 'x');
  const std::unique_ptr<Upload> upload = store->upload(request("f", 2 * bytes.size())).value();
  REQUIRE(write(*upload, bytes));
  CHECK(store->status(id("u"))->record.offset == bytes.size());
}

TEST_CASE("an upload that is under way cannot be begun a second time, or be dropped") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  std::unique_ptr<Upload> upload = store->upload(request("f", 3)).value();
  CHECK(code_of(store->upload(request("f", 3))) == Errc::busy);
  REQUIRE(write(*upload, "a"));
  REQUIRE(upload->park());
  CHECK(code_of(store->remove(id("u"))) == Errc::busy);
  upload.reset();
  CHECK(store->upload(request("f", 3, 1)));
  CHECK(store->remove(id("u")));
  CHECK(kept(root).empty());
  CHECK(code_of(store->remove(id("u"))) == Errc::not_found);
}

TEST_CASE("an id belongs to one file of one size") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  break_off(store, "abc", 9);
  CHECK(code_of(store->upload(request("g", 9, 3))) == Errc::failed_precondition);
  CHECK(code_of(store->upload(request("f", 8, 3))) == Errc::failed_precondition);
  CHECK(store->upload(request("f", 9, 3)));
}

TEST_CASE("an upload whose digest is wrong is not kept") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  break_off(store, "abc", 6);
  UploadRequest rest = request("f", 6, 3);
  rest.expected = {{DigestKind::xxh3, "0000000000000000"}};
  std::unique_ptr<Upload> upload = store->upload(rest).value();
  REQUIRE(upload->catch_up());
  REQUIRE(write(*upload, "def"));
  CHECK(code_of(upload->finish()) == Errc::checksum_mismatch);
  upload.reset();
  CHECK(kept(root).empty());
  CHECK_FALSE(fs::exists(root / "f"));
}

TEST_CASE("bytes that changed on the disk while an upload waited are found") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  break_off(store, "abc", 6);
  make_file(root / ".cleave/uploads/u.data", "axc");
  UploadRequest rest = request("f", 6, 3);
  rest.expected = {{DigestKind::md5, "e80b5017098950fc58aad83c8c14978e"}};  // of abcdef
  std::unique_ptr<Upload> upload = store->upload(rest).value();
  REQUIRE(upload->catch_up());
  REQUIRE(write(*upload, "def"));
  CHECK(code_of(upload->finish()) == Errc::checksum_mismatch);
}

TEST_CASE("a complete upload is remembered, is not stored twice, and can be begun anew") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  std::unique_ptr<Upload> upload = store->upload(request("f", 3)).value();
  REQUIRE(write(*upload, "abc"));
  REQUIRE(upload->finish());
  upload.reset();
  const UploadStatus status = store->status(id("u")).value();
  CHECK(status.complete);
  CHECK(status.record.digests[0].hex == "78af5f94892f3950");

  upload = store->upload(request("f", 3, 3)).value();
  REQUIRE(upload->complete());
  CHECK(upload->complete()->size == 3);
  CHECK(upload->complete()->digests[0].hex == "78af5f94892f3950");

  upload = store->upload(request("f", 3)).value();
  CHECK_FALSE(upload->complete());
  CHECK(upload->offset() == 0);
  REQUIRE(write(*upload, "new"));
  REQUIRE(upload->finish());
  CHECK(content_of(root / "f") == "new");
}

TEST_CASE("an upload that could not take its name is kept, and can take it later") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  UploadRequest first = request("f", 3);
  first.overwrite = false;
  std::unique_ptr<Upload> upload = store->upload(first).value();
  REQUIRE(write(*upload, "abc"));
  make_file(root / "f", "somebody's");
  CHECK(code_of(upload->finish()) == Errc::already_exists);
  upload.reset();
  CHECK_FALSE(store->status(id("u"))->complete);
  CHECK(store->status(id("u"))->record.offset == 3);
  upload = store->upload(request("f", 3, 3)).value();
  REQUIRE(upload->catch_up());
  REQUIRE(upload->finish());
  CHECK(content_of(root / "f") == "abc");
}

TEST_CASE("a record that cannot be read is none, and the upload begins anew") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  for (const char* text :
       {"", "{", "[]", R"({"filename":"f"})", R"({"filename":"f","file_size":9,"offset":10})",
        R"({"filename":"f","file_size":-1,"offset":0})"}) {
    CAPTURE(text);
    break_off(store, "abc", 9);
    make_file(root / ".cleave/uploads/u.json", text);
    CHECK(code_of(store->status(id("u"))) == Errc::not_found);
    CHECK(store->upload(request("f", 9))->get()->offset() == 0);
  }
}

TEST_CASE("a record that cannot be read just now costs nothing of what is kept") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  break_off(store, "abc", 9);
  // A directory can be opened and not be read.
  fs::rename(root / ".cleave/uploads/u.json", root / "aside");
  fs::create_directory(root / ".cleave/uploads/u.json");
  CHECK(code_of(store->upload(request("f", 9, 3))) != Errc::not_found);
  CHECK(code_of(store->status(id("u"))) != Errc::not_found);
  fs::remove(root / ".cleave/uploads/u.json");
  fs::rename(root / "aside", root / ".cleave/uploads/u.json");
  CHECK(store->upload(request("f", 9, 3))->get()->offset() == 3);
}

TEST_CASE("an upload that is begun anew is not taken for the one before it") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  std::unique_ptr<Upload> upload = store->upload(request("f", 3)).value();
  REQUIRE(write(*upload, "abc"));
  REQUIRE(upload->finish());
  upload = store->upload(request("f", 3)).value();
  REQUIRE(write(*upload, "n"));  // and then its process is killed
  CHECK(code_of(store->status(id("u"))) == Errc::not_found);
}

TEST_CASE("data that are shorter than their record go on where they end") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  break_off(store, "abcdef", 9);
  fs::resize_file(root / ".cleave/uploads/u.data", 2);
  CHECK(store->upload(request("f", 9, 6))->get()->offset() == 2);
}

// ---- Together -----------------------------------------------------------------------------------

TEST_CASE("uploads that are committed together each have their own outcome") {
  const ScratchDirectory root;
  for (const Durability durability : {Durability::none, Durability::data, Durability::full}) {
    CAPTURE(to_string(durability));
    const Store store = FileStore::open(root.string(), {.durability = durability}).value();
    std::vector<std::unique_ptr<Upload>> uploads;
    std::vector<Upload*> all;
    for (const char* file : {"a/1", "a/2", "b/1", "there/x", "a/3"}) {
      uploads.push_back(store->upload({.name = name(file)}).value());
      all.push_back(uploads.back().get());
      REQUIRE(write(*uploads.back(), file));
      REQUIRE(uploads.back()->check());
    }
    make_file(root / "there", "no directory");
    const std::vector<Result<StoredFile>> results = Upload::commit(all);
    REQUIRE(results.size() == 5);
    for (const std::size_t at : {0U, 1U, 2U, 4U}) CHECK(results[at]);
    CHECK(code_of(results[3]) == Errc::failed_precondition);
    CHECK(content_of(root / "a/3") == "a/3");
    CHECK(content_of(root / "b/1") == "b/1");
    uploads.clear();
    CHECK(fs::is_empty(root / Upload::kDirectory));
    fs::remove_all(root / "there");
  }
}

// ---- What is dropped ----------------------------------------------------------------------------

TEST_CASE("uploads that waited too long are dropped, younger ones and those under way are not") {
  const ScratchDirectory root;
  const FileStoreOptions options{.limits = {.store_partial_age_ms = 3'600'000}};
  const Store store = FileStore::open(root.string(), options).value();
  std::vector<std::unique_ptr<Upload>> uploads;
  for (const char* which : {"old", "young", "busy"}) {
    uploads.push_back(store->upload(request("f", 9, 0, which)).value());
    REQUIRE(write(*uploads.back(), "abc"));
    REQUIRE(uploads.back()->park());
  }
  uploads.erase(uploads.begin(), uploads.begin() + 2);
  age(root / ".cleave/uploads/old.json", 3'601);
  age(root / ".cleave/uploads/busy.json", 3'601);
  age(root / ".cleave/uploads/young.json", 3'000);
  store->sweep();
  CHECK(code_of(store->status(id("old"))) == Errc::not_found);
  CHECK(store->status(id("young")));
  CHECK(store->status(id("busy")));
}

TEST_CASE("of more bytes than may wait the oldest are dropped") {
  const ScratchDirectory root;
  const FileStoreOptions options{.limits = {.store_partial_bytes = 2'000}};
  const Store store = FileStore::open(root.string(), options).value();
  for (const char* which : {"a", "b", "c"}) {
    const std::unique_ptr<Upload> upload = store->upload(request("f", 9'000, 0, which)).value();
    REQUIRE(write(*upload, std::string(1'000, 'x')));
    REQUIRE(upload->park());
  }
  age(root / ".cleave/uploads/b.json", 100);
  store->sweep();
  CHECK(store->status(id("a")));
  CHECK(code_of(store->status(id("b"))) == Errc::not_found);
  CHECK(store->status(id("c")));
}

TEST_CASE("that an upload is complete is remembered for an hour") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  REQUIRE(store->upload(request("f", 0))->get()->finish());
  age(root / ".cleave/uploads/u.json", 3'000);
  store->sweep();
  CHECK(store->status(id("u"))->complete);
  age(root / ".cleave/uploads/u.json", 700);
  store->sweep();
  CHECK(code_of(store->status(id("u"))) == Errc::not_found);
}

TEST_CASE("what a crash left of uploads is dropped when nobody can need it any more") {
  const ScratchDirectory root;
  const Store store = FileStore::open(root.string()).value();
  make_file(root / ".cleave/uploads/x.data", "data without a record");
  make_file(root / ".cleave/uploads/y.json", R"({"filename":"f","file_size":9,"offset":3})");
  make_file(root / ".cleave/uploads/z.new", "half a record");
  store->sweep();
  CHECK(kept(root).size() == 3);
  for (const char* file : {"x.data", "y.json", "z.new"}) {
    age(root / (std::string(".cleave/uploads/") + file), 3'601);
  }
  store->sweep();
  CHECK(kept(root).empty());
}

// ---- Room and quota -----------------------------------------------------------------------------

TEST_CASE("what is to stay free on the disk stays free") {
  const ScratchDirectory root;
  const auto open = [&](const StoreLimits& limits) {
    return FileStore::open(root.string(), {.limits = limits}).value();
  };
  const Result<std::unique_ptr<Upload>> bytes =
      open({.store_free_bytes = std::uint64_t{1} << 62})->upload({.name = name("f")});
  CHECK(code_of(bytes) == Errc::no_space);
  CHECK(bytes.error().limit == "store_free_bytes");
  const Result<std::unique_ptr<Upload>> files =
      open({.store_free_files = std::uint64_t{1} << 62})->upload({.name = name("f")});
  CHECK(code_of(files) == Errc::no_space);
  CHECK(files.error().limit == "store_free_files");
}

TEST_CASE("a quota counts what is stored, replaced, deleted, moved over, and kept") {
  const ScratchDirectory root;
  make_file(root / "before/f", std::string(100, 'x'));
  const FileStoreOptions options{.limits = {.store_quota_bytes = 1'000, .store_quota_files = 4}};
  const Store store = FileStore::open(root.string(), options).value();
  const auto put = [&](std::string_view file, std::size_t size, bool known = true) -> Result<void> {
    UploadRequest wanted{.name = name(file)};
    if (known) wanted.size = size;
    Result<std::unique_ptr<Upload>> upload = store->upload(wanted);
    if (!upload) return fail(upload.error());
    if (Result<void> written = write(**upload, std::string(size, 'x')); !written) return written;
    const Result<StoredFile> stored = (*upload)->finish();
    if (!stored) return fail(stored.error());
    return {};
  };
  CHECK(put("a", 900));
  const Result<void> refused = put("b", 1);
  CHECK(code_of(refused) == Errc::quota_exceeded);
  CHECK(refused.error().limit == "store_quota_bytes");
  CHECK(code_of(put("b", 1, false)) == Errc::quota_exceeded);
  REQUIRE(store->remove(name("a")));
  CHECK(put("a", 300));
  CHECK(put("a", 400));  // replaces 300
  CHECK(put("b", 500));
  CHECK(code_of(put("c", 1)) == Errc::quota_exceeded);
  REQUIRE(store->move(name("a"), name("b"), true));  // 500 fewer, and a file fewer
  CHECK(put("c", 500));
  REQUIRE(store->remove(name("c")));
  CHECK(put("c", 0));
  CHECK(put("d", 0));
  const Result<void> many = put("e", 0);
  CHECK(code_of(many) == Errc::quota_exceeded);
  CHECK(many.error().limit == "store_quota_files");
  REQUIRE(store->remove(name("d")));
  // An upload takes what it declares, and gives back what it does not keep.
  {
    const std::unique_ptr<Upload> upload = store->upload(request("d", 500)).value();
    REQUIRE(write(*upload, std::string(200, 'x')));
    CHECK(code_of(put("c", 1)) == Errc::quota_exceeded);
    REQUIRE(upload->park());
  }
  CHECK(put("c", 300));
  CHECK(code_of(put("c", 301)) == Errc::quota_exceeded);
  REQUIRE(store->remove(id("u")));
  CHECK(put("c", 200));
  // Others write into the folder, too; what they did counts after a sweep.
  fs::remove(root / "before/f");
  CHECK(code_of(put("c", 301)) == Errc::quota_exceeded);
  store->sweep();
  CHECK(put("c", 301));
}
