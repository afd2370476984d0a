// SPDX-License-Identifier: MIT
#include "cleave/handlers/store_commands.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cleave/handlers/echo.h"
#include "cleave/testing/blocked_lane.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/plain_client.h"
#include "cleave/testing/scratch_directory.h"
#include "cleave/testing/test_server.h"
#include "store_server.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

// As an older client writes it: the header's length, the header, and the file.
std::string older_put(std::string_view header, std::string_view body) {
  return frame_bytes(header) + std::string(body);
}

}  // namespace

// ---- put ----------------------------------------------------------------------------------------

TEST_CASE("put stores the body and says its size and digests") {
  StoreServer store;
  const Frame reply = store.client.ask(StoreServer::put_of("a/b.txt")
                                           .set("md5", "900150983CD24FB0D6963F7D28E17F72")
                                           .set("mtime_ms", 1'000'000'000'123)
                                           .set("file_size", 3),
                                       "abc");
  CHECK(reply.ok());
  CHECK(reply.text("filename") == "a/b.txt");
  CHECK(reply.number("file_size") == 3);
  CHECK(reply.text("xxh3") == "78af5f94892f3950");
  CHECK(reply.text("md5") == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(reply.text("sha256").empty());
  CHECK(content_of(store.root / "a/b.txt") == "abc");
  CHECK(store.ask("stat", "a/b.txt").number("mtime_ms") == 1'000'000'000'123);
}

TEST_CASE("a body of any size is stored, also an empty one") {
  StoreServer store;
  for (const std::size_t size : std::vector<std::size_t>{0, 1, 65536, 1048576, 1048577, 20000000}) {
    CAPTURE(size);
    const std::string body = pattern(size);
    CHECK(store.put("f", body).number("file_size") == size);
    CHECK(content_of(store.root / "f") == body);
  }
}

TEST_CASE("puts that run at once on one connection do not hold each other up") {
  StoreServer store;
  // Each has more to come when the window is full: whoever waited for a whole job would wait for
  // ever.
  constexpr int kFiles = 8;
  const std::string part = pattern(700'000);
  for (int id = 0; id < kFiles; ++id) {
    store.client.send(StoreServer::put_of("f" + std::to_string(id)).set("id", id).set("more", true),
                      part);
  }
  for (int id = 0; id < kFiles; ++id) store.client.send(Members().set("id", id), part);
  for (int i = 0; i < kFiles; ++i) {
    const Frame reply = store.client.read();
    CHECK(reply.ok());
    CHECK(reply.number("file_size") == 1'400'000);
  }
  for (int id = 0; id < kFiles; ++id) {
    CHECK(content_of(store.root / ("f" + std::to_string(id))) == part + part);
  }
}

TEST_CASE("a put that is refused says why, leaves nothing, and the connection goes on") {
  StoreServer store;
  REQUIRE(store.put("old", "old").ok());
  fs::create_directory(store.root / "dir");
  const std::string body = pattern(3'000'000);
  const auto code = [&](Members members) {
    return store.client.ask(std::move(members), body).text("code");
  };
  const auto put = [](std::string_view name) { return StoreServer::put_of(name); };
  CHECK(code(Members().set("cmd", "put")) == "invalid_argument");
  CHECK(code(put("../f")) == "invalid_argument");
  CHECK(code(put("/etc/f")) == "invalid_argument");
  CHECK(code(put(".cleave/tmp/f")) == "invalid_argument");
  CHECK(code(put("f").set("md5", "abc")) == "invalid_argument");
  CHECK(code(put("f").set("mtime_ms", -1)) == "invalid_argument");
  CHECK(code(put("f").set("overwrite", 1)) == "invalid_argument");
  CHECK(code(put("f").set("file_size", 4)) == "invalid_argument");
  CHECK(code(put("f").set("offset", 5)) == "invalid_argument");
  CHECK(code(put("f").set("upload", "u")) == "invalid_argument");
  CHECK(code(put("f").set("upload", "../u").set("file_size", body.size())) == "invalid_argument");
  CHECK(code(put("f").set("upload", "u").set("file_size", 4)) == "invalid_argument");
  CHECK(code(put("f").set("md5", std::string(32, '0'))) == "checksum_mismatch");
  CHECK(code(put("old").set("overwrite", false)) == "already_exists");
  CHECK(code(put("dir")) == "failed_precondition");
  CHECK(code(put("old/f")) == "failed_precondition");
  CHECK(content_of(store.root / "old") == "old");
  CHECK_FALSE(fs::exists(store.root / "f"));
  CHECK(store.no_temporaries());
  CHECK(store.put("f", "good").ok());
}

TEST_CASE("a put of which more comes than its file_size is refused, and so is one of less") {
  StoreServer store;
  for (const char* last : {"", "too much"}) {
    CAPTURE(last);
    store.client.send(StoreServer::put_of("f").set("id", 1).set("more", true).set("file_size", 5),
                      "abc");
    store.client.send(Members().set("id", 1), last);
    CHECK(store.client.read().text("code") == "invalid_argument");
  }
  CHECK_FALSE(fs::exists(store.root / "f"));
  CHECK(store.no_temporaries());
}

TEST_CASE("a size beyond the disk is refused before the body comes") {
  StoreServer store;
  store.client.send(StoreServer::put_of("f")
                        .set("id", 1)
                        .set("more", true)
                        .set_raw("file_size", "4611686018427387904"));
  CHECK(store.client.read().text("code") == "no_space");
}

TEST_CASE("so many files are open at once, and one more is told to come back") {
  StoreServer store{.options = {.limits = {.store_max_open = 2}}};
  CHECK(store.put("there", "content").ok());
  for (const int id : {1, 2}) {
    store.client.send(StoreServer::put_of("f" + std::to_string(id)).set("id", id).set("more", true),
                      "half");
  }
  CHECK(store.put("f3", "x").text("code") == "busy");
  CHECK(store.ask("verify", "there").text("code") == "busy");
  const Frame refused = store.ask("get", "there");
  CHECK(refused.text("code") == "busy");
  CHECK(refused.text("message").find("store_max_open") != std::string::npos);
  CHECK(store.ask("stat", "there").ok());
  store.client.send(Members().set("id", 1));
  CHECK(store.client.read().ok());
  for (int i = 0; i < 5; ++i) {
    CHECK(store.ask("get", "there").body == "content");
    CHECK(store.ask("verify", "there").ok());
    CHECK(store.put("f3", "x").ok());
  }
}

TEST_CASE("a put that is cancelled leaves nothing by the time it says so") {
  StoreServer store;
  store.client.send(StoreServer::put_of("f").set("id", 1).set("more", true), pattern(2'000'000));
  store.client.send(Members().set("cmd", "cancel").set("id", 2).set("target", 1));
  for (int i = 0; i < 2; ++i) {
    const Frame reply = store.client.read();
    if (reply.number("id") == 1) {
      CHECK(reply.text("code") == "cancelled");
      CHECK(store.no_temporaries());
    } else {
      CHECK(reply.ok());
    }
  }
  CHECK_FALSE(fs::exists(store.root / "f"));
}

TEST_CASE("a put whose client goes away in the middle leaves nothing") {
  bool reset = false;
  SUBCASE("with an end of input") {}
  SUBCASE("with a reset") {
    reset = true;
  }
  StoreServer store;
  {
    PlainClient other(store.server.port());
    other.write(frame_bytes(StoreServer::put_of("f").set("data_size", 5'000'000).object()) +
                pattern(2'000'000));
    // Before that a reset may overtake the request itself.
    REQUIRE(comes_true([&] { return !store.no_temporaries(); }));
    if (reset) other.reset();
  }
  CHECK(comes_true([&] { return store.no_temporaries(); }));
  CHECK_FALSE(fs::exists(store.root / "f"));
}

// ---- put, as older clients send it --------------------------------------------------------------

TEST_CASE("one-way puts are stored without a word, also when the client closes at once") {
  StoreServer store;
  const std::string body = pattern(300'000);
  {
    PlainClient older(store.server.port());
    for (const char* name : {"a", "b", "c"}) {
      older.write(older_put(
          "{\"cmd\": \"put\", \"filename\": \"" + std::string(name) + "\", \"filesize\": 300000}",
          body));
    }
  }
  for (const Outcomes::Outcome& outcome : store.outcomes.wait_for(3)) {
    CHECK(outcome.one_way);
    CHECK_FALSE(outcome.code);
  }
  for (const char* name : {"a", "b", "c"}) CHECK(content_of(store.root / name) == body);
}

TEST_CASE("a refused one-way put is silent and does not cost the ones behind it") {
  StoreServer store;
  store.client.write(
      older_put(R"({"cmd": "put", "filename": "../a", "filesize": 3})", "abc") +
      older_put(R"({"cmd": "put", "file_name": "/a/b/c.txt", "file_size": 3, "md5": "8f"})",
                "abc") +
      older_put(R"({"cmd": "put", "file_name": "b", "file_size": 3, )"
                R"("md5": "00000000000000000000000000000000"})",
                "abc") +
      older_put(R"({"cmd": "put", "file_name": "c", "file_size": 3, )"
                R"("md5": "900150983cd24fb0d6963f7d28e17f72"})",
                "abc") +
      older_put(R"({"cmd": "put", "filename": "\u540d", "filesize": 0})", ""));
  // The first answer of this connection is that of the first request that wants one.
  const Frame reply = store.ask("stat", "c");
  CHECK(reply.ok());
  CHECK(reply.number("file_size") == 3);
  CHECK(fs::is_empty(store.root / "\xE5\x90\x8D"));
  CHECK_FALSE(fs::exists(store.root / "b"));
}

TEST_CASE("a put with data_size is answered, whatever other sizes it names") {
  StoreServer store;
  CHECK(store.client.ask(StoreServer::put_of("f").set("filesize", 99), "abc").ok());
  CHECK(content_of(store.root / "f") == "abc");
}

TEST_CASE("an older size without data_size does not go with more or upload") {
  StoreServer store;
  const Frame reply =
      store.client.ask(StoreServer::put_of("f").set("filesize", 3).set("upload", "u"));
  CHECK(reply.text("code") == "invalid_argument");
}

// ---- get ----------------------------------------------------------------------------------------

TEST_CASE("get replies with the file and what is known of it") {
  StoreServer store;
  const std::string body = pattern(5'000'000);
  const Frame stored = store.client.ask(StoreServer::put_of("f").set("mtime_ms", 5'000), body);
  const Frame reply = store.ask("get", "f");
  CHECK(reply.ok());
  CHECK(reply.number("file_size") == 5'000'000);
  CHECK(reply.number("mtime_ms") == 5'000);
  CHECK((reply.text("xxh3").empty() || reply.text("xxh3") == stored.text("xxh3")));
  CHECK(reply.body == body);
}

TEST_CASE("get replies with a part, cut where the file ends") {
  StoreServer store;
  REQUIRE(store.put("f", "0123456789").ok());
  const auto part = [&](std::int64_t offset, std::int64_t length) {
    return store.client.ask(Members()
                                .set("cmd", "get")
                                .set("filename", "f")
                                .set("offset", offset)
                                .set("length", length));
  };
  CHECK(part(0, 3).body == "012");
  CHECK(part(7, 3).body == "789");
  CHECK(part(7, 100).body == "789");
  CHECK(part(7, std::numeric_limits<std::int64_t>::max()).body == "789");
  CHECK(part(3, 0).body.empty());
  CHECK(part(10, 1).body.empty());
  CHECK(part(10, 1).ok());
  CHECK(part(3, 2).number("file_size") == 10);
  CHECK(part(11, 1).text("code") == "invalid_argument");
  CHECK(part(std::numeric_limits<std::int64_t>::max(), 1).text("code") == "invalid_argument");
  CHECK(part(-1, 1).text("code") == "invalid_argument");
  CHECK(part(0, -1).text("code") == "invalid_argument");
}

TEST_CASE("get refuses what is not a file, and never waits for a FIFO") {
  StoreServer store;
  fs::create_directory(store.root / "dir");
  fs::create_symlink("/etc/passwd", store.root / "link");
  REQUIRE(::mkfifo((store.root / "fifo").c_str(), 0600) == 0);
  CHECK(store.ask("get", "none").text("code") == "not_found");
  CHECK(store.ask("get", "dir").text("code") == "failed_precondition");
  CHECK(store.ask("get", "link").text("code") == "permission_denied");
  CHECK(store.ask("get", "fifo").text("code") == "failed_precondition");
  CHECK(store.ask("get", "../x").text("code") == "invalid_argument");
  CHECK(store.client.ask(Members().set("cmd", "get")).text("code") == "invalid_argument");
}

// ---- list, stat, delete, move, verify -----------------------------------------------------------

TEST_CASE("list gives lines of JSON, page by page") {
  StoreServer store;
  for (const char* file : {"b", "a\"quoted", "c/d"}) REQUIRE(store.put(file, "abc").ok());
  const auto list = [&](Members members) {
    return store.client.ask(std::move(members).set("cmd", "list"));
  };
  const Frame first = list(Members().set("limit", 2));
  CHECK(first.text("next") == "b");
  CHECK(first.body.starts_with(R"({"name":"a\"quoted","type":"file","file_size":3,"mtime_ms":)"));
  CHECK(std::count(first.body.begin(), first.body.end(), '\n') == 2);
  const Frame rest = list(Members().set("limit", 2).set("after", "b"));
  CHECK(rest.body.starts_with(R"({"name":"c","type":"directory","file_size":0,)"));
  CHECK(std::count(rest.body.begin(), rest.body.end(), '\n') == 1);
  CHECK(rest.text("next").empty());
  CHECK(list(Members().set("filename", "c")).body.starts_with(R"({"name":"d")"));
  CHECK(list(Members().set("after", "z")).ok());
  CHECK(list(Members().set("filename", "b")).text("code") == "failed_precondition");
  CHECK(list(Members().set("filename", ".cleave")).text("code") == "invalid_argument");
  CHECK(list(Members().set("limit", 0)).text("code") == "invalid_argument");
  CHECK(list(Members().set("limit", 10'001)).text("code") == "invalid_argument");
}

TEST_CASE("a page of a list is bounded in bytes, whatever was asked for") {
  StoreServer store;
  constexpr std::size_t kFiles = 2'000;
  for (std::size_t i = 0; i < kFiles; ++i) {
    std::ofstream(store.root / (std::to_string(10'000 + i) + std::string(200, 'n')));
  }
  std::size_t listed = 0;
  std::size_t pages = 0;
  std::string after;
  do {
    const Frame page =
        store.client.ask(Members().set("cmd", "list").set("limit", 10'000).set("after", after));
    REQUIRE(page.ok());
    CHECK(page.body.size() < 260 * 1024);
    listed += static_cast<std::size_t>(std::count(page.body.begin(), page.body.end(), '\n'));
    after = page.text("next");
    ++pages;
  } while (!after.empty() && pages < 100);
  CHECK(listed == kFiles);
  CHECK(pages > 1);
}

TEST_CASE("stat tells what a name stands for") {
  StoreServer store;
  const Frame stored = store.put("d/f", "abc");
  fs::create_symlink("nowhere", store.root / "link");
  const Frame file = store.ask("stat", "d/f");
  CHECK(file.text("type") == "file");
  CHECK(file.number("file_size") == 3);
  CHECK((file.text("xxh3").empty() || file.text("xxh3") == stored.text("xxh3")));
  CHECK(store.ask("stat", "d").text("type") == "directory");
  CHECK(store.ask("stat", "link").text("type") == "other");
  CHECK(store.ask("stat", "none").text("code") == "not_found");
  CHECK(store.client.ask(Members().set("cmd", "stat").set("upload", "u")).text("code") ==
        "not_found");
}

TEST_CASE("delete and move change names and nothing else") {
  StoreServer store;
  REQUIRE(store.put("a/f", "one").ok());
  REQUIRE(store.put("g", "two").ok());
  const auto move = [&](std::string_view from, std::string_view to, bool overwrite) {
    return store.client.ask(Members()
                                .set("cmd", "move")
                                .set("filename", from)
                                .set("to", to)
                                .set("overwrite", overwrite));
  };
  CHECK(move("a/f", "g", false).text("code") == "already_exists");
  CHECK(move("a/f", "../g", true).text("code") == "invalid_argument");
  CHECK(move("a/f", "g", true).ok());
  CHECK(content_of(store.root / "g") == "one");
  CHECK(store.ask("delete", "a").ok());
  CHECK(store.ask("delete", "g").ok());
  CHECK(store.ask("delete", "g").text("code") == "not_found");
  CHECK_FALSE(fs::exists(store.root / "a"));
}

TEST_CASE("verify reads the file again and compares") {
  StoreServer store;
  const Frame stored = store.put("f", pattern(40'000'000));
  if (store.ask("stat", "f").text("xxh3").empty()) {
    MESSAGE("skipped: this file system keeps no attributes");
    return;
  }
  const Frame good = store.ask("verify", "f");
  CHECK(good.ok());
  CHECK(good.text("xxh3") == stored.text("xxh3"));
  CHECK(good.number("file_size") == 40'000'000);
  std::ofstream(store.root / "f", std::ios::app) << "more";
  CHECK(store.ask("verify", "f").text("code") == "checksum_mismatch");
  make_file(store.root / "by-hand", "abc");
  CHECK(store.ask("verify", "by-hand").text("code") == "failed_precondition");
}

// ---- the disk lane ------------------------------------------------------------------------------

namespace {

// A server with the store, echo, and a command of somebody else that offloads work.
struct SharedServer {
  ScratchDirectory root;
  TestServer test{[this](Router& router, Loop& loop) {
    add_store(router, loop, FileStore::open(root.string()).value());
    add_echo(router);
    router.add("guest", {.summary = "computes elsewhere"},
               later([&loop](const Request&, Buffer, ReplyToken token) {
                 loop.offload([] { return 6 * 7; },
                              [token = std::move(token)](int result) mutable {
                                std::move(token).ok(Members().set("result", result));
                              });
               }));
  }};

  // The frames that have come when `count` have.
  std::vector<Frame> wait_for(TestPeer& peer, std::size_t count) {
    std::vector<Frame> frames;
    const bool came = test.run_until([&] {
      for (Frame& frame : peer.read_all()) frames.push_back(std::move(frame));
      return frames.size() >= count;
    });
    REQUIRE(came);
    return frames;
  }
};

}  // namespace

TEST_CASE("while the disk hangs, echo and the work of other handlers are answered") {
  SharedServer server;
  TestPeer storing = server.test.connect();
  TestPeer other = server.test.connect();
  constexpr std::size_t kFiles = 16;
  {
    const BlockedLane disk(server.test.loop(), Lane::disk);
    for (std::size_t id = 0; id < kFiles; ++id) {
      const std::string number = std::to_string(id);
      storing.send(
          R"({"cmd":"put","id":)" + number + R"(,"filename":"f)" + number + R"(","data_size":3})",
          "abc");
    }
    for (int i = 0; i < 8; ++i) {
      other.send(R"({"cmd":"echo","data_size":5})", "hello");
      other.send(R"({"cmd":"guest"})");
      const std::vector<Frame> replies = server.wait_for(other, 2);
      CHECK(replies[0].body == "hello");
      CHECK(replies[1].number("result") == 42);
    }
    CHECK(storing.read_all().empty());
  }
  for (const Frame& stored : server.wait_for(storing, kFiles)) CHECK(stored.ok());
}

TEST_CASE("while the work of other handlers hangs, files are served") {
  SharedServer server;
  const BlockedLane general(server.test.loop(), Lane::general);
  TestPeer peer = server.test.connect();
  const auto ask = [&](std::string_view header, std::string_view body = {}) {
    peer.send(header, body);
    return server.wait_for(peer, 1).front();
  };
  CHECK(ask(R"({"cmd":"put","filename":"f","data_size":3})", "abc").ok());
  CHECK(ask(R"({"cmd":"get","filename":"f"})").body == "abc");
  CHECK(ask(R"({"cmd":"list"})").ok());
  CHECK(ask(R"({"cmd":"stat","filename":"f"})").ok());
  // Where the file system keeps no attributes, that is an error.
  ask(R"({"cmd":"verify","filename":"f"})");
  CHECK(ask(R"({"cmd":"move","filename":"f","to":"g"})").ok());
  CHECK(ask(R"({"cmd":"delete","filename":"g"})").ok());
  // One that is cancelled in the middle removes what it has written.
  peer.send(R"({"cmd":"put","id":1,"filename":"h","more":true,"data_size":2000000})",
            pattern(2'000'000));
  peer.send(R"({"cmd":"cancel","id":2,"target":1})");
  server.wait_for(peer, 2);
}
