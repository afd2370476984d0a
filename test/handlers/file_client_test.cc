// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_client.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/handlers/digest.h"
#include "cleave/handlers/store_commands.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1024} * 1024;

std::string digest_of(DigestKind kind, std::string_view bytes) {
  Digest digest = Digest::create(kind).value();
  digest.update(bytes);
  return digest.finish();
}

// Bytes of which no two mebibytes are the same.
std::string varied(std::uint64_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& c : bytes) {
    state = state * 1'664'525U + 1'013'904'223U;
    c = static_cast<char>(state >> 24U);
  }
  return bytes;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A store, and a folder of this side.
struct Store {
  ScratchDirectory root;
  ScratchDirectory folder;
  LiveServer server{[this](Router& router, Loop& loop) {
    add_store(router, loop, FileStore::open(root.string(), {}).value());
  }};
  BlockingClient client = BlockingClient::connect(server.url()).value();

  [[nodiscard]] std::string here(std::string_view name) const { return (folder / name).string(); }
};

// A server of put, get and stat that says what the test wants.
struct Scripted {
  using Answer = std::function<Result<Reply>(const Request&, std::string_view body)>;
  ScratchDirectory folder;
  std::mutex mutex;  // the server has a thread of its own
  std::vector<std::string> asked;
  std::map<std::string, Answer> answers;
  LiveServer server{[this](Router& router, Loop&) {
    for (const char* cmd : {"get", "put", "stat"}) {
      router.add(cmd, {.summary = "answers as the test wants"},
                 collected([this, cmd = std::string(cmd)](const Request& request,
                                                          std::string_view body) -> Result<Reply> {
                   const std::lock_guard hold(mutex);
                   asked.push_back(cmd);
                   const auto answer = answers.find(cmd);
                   if (answer != answers.end()) return answer->second(request, body);
                   return fail(Errc::not_found, "there is no such file");
                 }));
    }
  }};
  BlockingClient client = BlockingClient::connect(server.url()).value();

  void on(const std::string& cmd, Answer answer) {
    const std::lock_guard hold(mutex);
    answers[cmd] = std::move(answer);
  }
  [[nodiscard]] std::string here(std::string_view name) const { return (folder / name).string(); }
};

FileTransferOptions patient() {
  FileTransferOptions options;
  options.retry.chance = [] { return 0.0; };
  return options;
}

}  // namespace

TEST_CASE("a file is stored and fetched, with its digest and its time") {
  Store store;
  make_file(store.here("a"), "some bytes");
  const fs::file_time_type time = fs::file_time_type::clock::now() - std::chrono::hours(1'000);
  fs::last_write_time(store.here("a"), time);
  const auto put = put_file(store.client, store.here("a"), "folder/b");
  REQUIRE(put);
  CHECK(put->size == 10);
  CHECK(put->xxh3 == digest_of(DigestKind::xxh3, "some bytes"));
  CHECK(put->header->string("xxh3").value() == put->xxh3);
  const auto got = get_file(store.client, "folder/b", store.here("back"));
  REQUIRE(got);
  CHECK(got->size == 10);
  CHECK(got->xxh3 == put->xxh3);
  CHECK(content_of(store.here("back")) == "some bytes");
  CHECK(std::chrono::abs(fs::last_write_time(store.here("back")) - time) <
        std::chrono::milliseconds(1));
  CHECK(names_in(store.here("")) == std::vector<std::string>{"a", "back"});
}

TEST_CASE("an empty file is a file") {
  Store store;
  make_file(store.here("a"), "");
  CHECK(put_file(store.client, store.here("a"), "a")->size == 0);
  CHECK(get_file(store.client, "a", store.here("b"))->size == 0);
  CHECK(content_of(store.here("b")).empty());
}

TEST_CASE("what is wrong with a file of either side has a code") {
  Store store;
  CHECK(put_file(store.client, store.here("absent"), "a").error().code == Errc::not_found);
  CHECK(put_file(store.client, store.folder.string(), "a").error().code == Errc::invalid_argument);
  CHECK(get_file(store.client, "absent", store.here("a")).error().code == Errc::not_found);
  make_file(store.here("a"), "a");
  CHECK(put_file(store.client, store.here("a"), "../a").error().code == Errc::invalid_argument);
  REQUIRE(put_file(store.client, store.here("a"), "a"));
  CHECK(get_file(store.client, "a", store.here("no/folder")).error().code == Errc::not_found);
  CHECK(names_in(store.here("")) == std::vector<std::string>{"a"});
}

TEST_CASE("a file that is there is replaced unless it is not to be") {
  Store store;
  make_file(store.here("old"), "old");
  make_file(store.here("new"), "new");
  REQUIRE(put_file(store.client, store.here("old"), "a"));
  FileTransferOptions options;
  options.overwrite = false;
  CHECK(put_file(store.client, store.here("new"), "a", options).error().code ==
        Errc::already_exists);
  CHECK(get_file(store.client, "a", store.here("new"), options).error().code ==
        Errc::already_exists);
  CHECK(content_of(store.here("new")) == "new");
  REQUIRE(put_file(store.client, store.here("new"), "a"));
  REQUIRE(get_file(store.client, "a", store.here("old")));
  CHECK(content_of(store.here("old")) == "new");
  CHECK(names_in(store.here("")) == std::vector<std::string>{"new", "old"});
}

TEST_CASE("a known sha256 is compared on the way there and back") {
  Store store;
  make_file(store.here("a"), "abc");
  FileTransferOptions right;
  right.sha256 = digest_of(DigestKind::sha256, "abc");
  FileTransferOptions wrong = right;
  wrong.sha256.front() = wrong.sha256.front() == '0' ? '1' : '0';
  CHECK(put_file(store.client, store.here("a"), "a", wrong).error().code ==
        Errc::checksum_mismatch);
  CHECK_FALSE(fs::exists(store.root / "a"));
  CHECK(put_file(store.client, store.here("a"), "a", right).has_value());
  CHECK(get_file(store.client, "a", store.here("b"), wrong).error().code ==
        Errc::checksum_mismatch);
  CHECK(names_in(store.here("")) == std::vector<std::string>{"a"});
  CHECK(get_file(store.client, "a", store.here("b"), right).has_value());
  wrong.sha256 = "abc";
  CHECK(put_file(store.client, store.here("a"), "a", wrong).error().code == Errc::invalid_argument);
  // What both sides have already is not good enough where it is not what it is to be.
  wrong.sha256 = digest_of(DigestKind::sha256, "another");
  wrong.resume = true;
  CHECK(put_file(store.client, store.here("a"), "a", wrong).error().code ==
        Errc::checksum_mismatch);
  CHECK(get_file(store.client, "a", store.here("b"), wrong).error().code ==
        Errc::checksum_mismatch);
}

TEST_CASE("a server that says another digest than the file's is found out") {
  Scripted server;
  make_file(server.here("a"), "data");
  server.on("put", [](const Request&, std::string_view) -> Result<Reply> {
    return Reply{Members().set("xxh3", "0123456789abcdef"), {}, {}};
  });
  CHECK(put_file(server.client, server.here("a"), "a").error().code == Errc::checksum_mismatch);
  server.on("get", [](const Request&, std::string_view) -> Result<Reply> {
    return Reply{
        Members().set("file_size", 4).set("xxh3", "0123456789abcdef"), Buffer::copy_of("data"), {}};
  });
  CHECK(get_file(server.client, "a", server.here("b")).error().code == Errc::checksum_mismatch);
  CHECK(names_in(server.here("")) == std::vector<std::string>{"a"});
}

TEST_CASE("fewer bytes than the server says are no file") {
  Scripted server;
  server.on("get", [](const Request&, std::string_view) -> Result<Reply> {
    return Reply{Members().set("file_size", 5), Buffer::copy_of("data"), {}};
  });
  const auto got = get_file(server.client, "a", server.here("b"));
  CHECK(got.error() == Error{Errc::io_error, "the file has 5 bytes, 4 have come"});
  CHECK(names_in(server.here("")).empty());
}

TEST_CASE("a busy server is tried again, and each time is told") {
  class Told final : public FileObserver {
   public:
    void on_retry(const Error& error, unsigned failures, Millis delay) override {
      told.push_back(std::string(to_string(error.code)) + " " + std::to_string(failures) + " " +
                     std::to_string(delay.count()));
    }
    std::vector<std::string> told;
  };
  Scripted server;
  Told observer;
  FileTransferOptions options = patient();
  options.observer = &observer;
  make_file(server.here("a"), "data");
  std::atomic<int> left = 3;
  server.on("put", [&left](const Request&, std::string_view) -> Result<Reply> {
    if (left-- > 0) return fail(Errc::busy, "not now");
    return Reply{};
  });
  CHECK(put_file(server.client, server.here("a"), "a", options).has_value());
  CHECK(observer.told == std::vector<std::string>{"busy 1 0", "busy 2 0", "busy 3 0"});
  left = 4;
  CHECK(put_file(server.client, server.here("a"), "a", options).error().code == Errc::busy);
  options.retry.attempts = 1;
  left = 1;
  CHECK(put_file(server.client, server.here("a"), "a", options).error().code == Errc::busy);
}

TEST_CASE("what is on both sides already is not transferred with resume") {
  Scripted server;
  make_file(server.here("a"), "data");
  server.on("stat", [](const Request& request, std::string_view) -> Result<Reply> {
    if (request.has("upload")) return fail(Errc::not_found, "there is no such upload");
    return Reply{
        Members().set("file_size", 4).set("xxh3", digest_of(DigestKind::xxh3, "data")), {}, {}};
  });
  FileTransferOptions options;
  options.resume = true;
  CHECK(put_file(server.client, server.here("a"), "a", options)->size == 4);
  CHECK(get_file(server.client, "a", server.here("a"), options)->size == 4);
  const std::lock_guard hold(server.mutex);
  CHECK(server.asked == std::vector<std::string>{"stat", "stat"});
}

TEST_CASE("a large put goes on from where the server has got to, and compares all of it") {
  Scripted server;
  const std::string bytes = varied(17 * kMebibyte);
  const std::uint64_t there = bytes.size() - 10;
  make_file(server.here("a"), bytes);
  server.on("stat", [there](const Request& request, std::string_view) -> Result<Reply> {
    if (!request.has("upload")) return fail(Errc::not_found, "there is no such file");
    return Reply{Members().set("offset", there), {}, {}};
  });
  server.on("put", [&bytes, there](const Request& request, std::string_view body) -> Result<Reply> {
    CHECK(request.integer("offset", 0, 1 << 30).value() == static_cast<std::int64_t>(there));
    CHECK(body == std::string_view(bytes).substr(there));
    return Reply{Members().set("xxh3", digest_of(DigestKind::xxh3, bytes)), {}, {}};
  });
  const auto put = put_file(server.client, server.here("a"), "a");
  REQUIRE(put);
  CHECK(put->xxh3 == digest_of(DigestKind::xxh3, bytes));
}

TEST_CASE("a transfer is cancelled while it waits, and one that is destroyed calls nobody") {
  Scripted server;
  make_file(server.here("a"), "data");
  server.on("put", [](const Request&, std::string_view) -> Result<Reply> {
    return fail(Errc::busy, "not now");
  });
  class Cancelling final : public FileObserver {
   public:
    void on_retry(const Error&, unsigned, Millis) override { waits = true; }
    bool waits = false;
  };
  Cancelling observer;
  FileTransferOptions options;
  options.observer = &observer;
  options.retry.first_delay = Millis(3'600'000);
  options.retry.longest_delay = options.retry.first_delay;
  options.retry.chance = [] { return 0.9; };
  std::optional<Result<FileTransferred>> done;
  FileTransfer transfer = put_file(server.client.client(), server.here("a"), "a", options,
                                   [&done](Result<FileTransferred> result) { done = result; });
  server.client.wait_until([&observer] { return observer.waits; });
  CHECK(transfer.running());
  transfer.cancel();
  CHECK_FALSE(done);  // never from inside
  server.client.wait_until([&done] { return done.has_value(); });
  CHECK(done->error().code == Errc::cancelled);
  CHECK_FALSE(transfer.running());

  done.reset();
  transfer = put_file(server.client.client(), server.here("a"), "a", options,
                      [&done](Result<FileTransferred> result) { done = result; });
  transfer = {};
  CHECK(server.client.call({.cmd = "stat"}).error().code == Errc::not_found);
  CHECK_FALSE(done);
}

TEST_CASE("a transfer may be destroyed from its own callback") {
  Store store;
  make_file(store.here("a"), "data");
  std::optional<FileTransfer> transfer;
  transfer = put_file(store.client.client(), store.here("a"), "a", {},
                      [&transfer](const Result<FileTransferred>& done) {
                        CHECK(done);
                        transfer.reset();
                      });
  store.client.wait_until([&transfer] { return !transfer; });
  CHECK(content_of(store.root / "a") == "data");
}

TEST_CASE("a server that is replaced in the middle of a put gets all of it in the end") {
  const ScratchDirectory root;
  const ScratchDirectory folder;
  const std::string url = "unix:" + (folder / "socket").string();
  const auto add = [&root](Router& router, Loop& loop) {
    add_store(router, loop, FileStore::open(root.string(), {}).value());
  };
  class Replacing final : public FileObserver {
   public:
    void on_begin(std::uint64_t) override { ++attempts; }
    void on_progress(std::uint64_t offset) override {
      if (offset >= 8 * kMebibyte && !std::exchange(replaced, true)) replace();
    }
    std::function<void()> replace;
    int attempts = 0;
    bool replaced = false;
  };
  std::optional<LiveServer> server(std::in_place, add, ServerOptions(), url);
  Replacing observer;
  observer.replace = [&] {
    server.reset();
    server.emplace(add, ServerOptions(), url);
  };
  auto client = BlockingClient::connect(url).value();
  const std::string bytes = varied(24 * kMebibyte);
  make_file(folder / "a", bytes);
  FileTransferOptions options = patient();
  options.observer = &observer;
  options.retry.attempts = 100;
  const auto put = put_file(client, (folder / "a").string(), "a", options);
  REQUIRE(put);
  CHECK(put->xxh3 == digest_of(DigestKind::xxh3, bytes));
  CHECK(observer.attempts > 1);
  CHECK(content_of(root / "a") == bytes);
}

TEST_CASE("a hundred megabytes go there and back in constant memory") {
  Store store;
  {
    const std::string piece = varied(kMebibyte);
    std::ofstream file(store.here("a"), std::ios::binary);
    for (int i = 0; i < 100; ++i) file << i << piece;
  }
  // A warm-up, so that what is allocated once does not count.
  make_file(store.here("small"), varied(4 * kMebibyte));
  REQUIRE(put_file(store.client, store.here("small"), "small"));
  REQUIRE(get_file(store.client, "small", store.here("back")));
  const auto most_kilobytes = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = most_kilobytes();
  const auto put = put_file(store.client, store.here("a"), "a");
  REQUIRE(put);
  const auto got = get_file(store.client, "a", store.here("back"));
  REQUIRE(got);
  CHECK(put->xxh3 == got->xxh3);
  CHECK(got->size == fs::file_size(store.here("a")));
  if (!CLEAVE_SANITIZED) CHECK(most_kilobytes() - before < 40'000);
}

TEST_CASE("a file can be fetched to a descriptor") {
  Store store;
  make_file(store.here("a"), "some bytes");
  REQUIRE(put_file(store.client, store.here("a"), "a"));
  const auto fd = std::make_shared<const Fd>(
      ::open(store.here("b").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(*fd);
  std::optional<Result<FileTransferred>> done;
  const FileTransfer transfer =
      get_file(store.client.client(), "a", fd, "the pipe", {},
               [&done](Result<FileTransferred> result) { done = std::move(result); });
  store.client.wait_until([&done] { return done.has_value(); });
  CHECK((*done)->size == 10);
  CHECK(content_of(store.here("b")) == "some bytes");
}
