// SPDX-License-Identifier: MIT
#include "cleave/bin/load/load_connection.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/loop.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/memory_stream.h"

using namespace cleave;
using namespace cleave::load;
using cleave::testing::frame_bytes;
using cleave::testing::MemoryPeer;
using cleave::testing::MemoryStream;

namespace {

// What happened, in words.
class Diary final : public LoadConnection::Host {
 public:
  void on_ok(std::uint64_t at) override { entries.push_back("ok " + std::to_string(at)); }
  void on_error(std::uint64_t at, std::string_view code, std::string_view message) override {
    entries.push_back("error " + std::to_string(at) + " " + std::string(code) + " " +
                      std::string(message));
  }
  void on_wrong(std::uint64_t at, const std::string& sentence) override {
    entries.push_back("wrong " + std::to_string(at) + " " + sentence);
  }
  void on_input() override {}
  void on_room(LoadConnection& connection) override { told_of_room = connection.has_room(); }
  void on_lost(LoadConnection& connection, const std::string& sentence) override {
    entries.push_back("lost " + std::to_string(connection.in_flight()) + " " + sentence);
  }

  std::vector<std::string> take() { return std::exchange(entries, {}); }

  std::vector<std::string> entries;
  bool told_of_room = false;
};

using Entries = std::vector<std::string>;

// A connection under load whose server is the test.
struct Loaded {
  explicit Loaded(Ids ids, std::uint32_t depth, std::uint64_t body_bytes,
                  std::string_view cmd = "echo")
      : body(load::Body::made_up(body_bytes)),
        requests(Requests::make({.cmd = cmd, .depth = depth, .ids = ids}, body).value()),
        expectation(body, Expectation::rule_for(cmd)),
        workplace(requests, expectation),
        connection(diary, workplace, std::move(pair.stream)) {}

  // Fills the connection with requests that count from 0, 1, 2 ….
  void fill() {
    while (connection.has_room()) connection.start(time++);
    connection.flush();
  }
  void turn() {
    for (int i = 0; i < 10; ++i) loop->step();
  }
  // The whole body.
  std::string text() const {
    std::string all;
    while (all.size() < body.size()) all += body.piece(all.size());
    return all;
  }
  std::string request(const std::string& id_member) const {
    const std::string size =
        body.size() > 0 ? ",\"data_size\":" + std::to_string(body.size()) : std::string();
    return frame_bytes(R"({"cmd":"echo")" + id_member + size + "}", text());
  }
  std::string reply(const std::string& id_member) const {
    return frame_bytes(
        "{" + id_member + R"("data_size":)" + std::to_string(body.size()) + R"(,"status":"ok"})",
        text());
  }
  std::string reply_to(std::uint64_t id) const {
    return reply("\"id\":" + std::to_string(id) + ",");
  }

  std::unique_ptr<Loop> loop = Loop::create().value();
  MemoryStream::Pair pair = MemoryStream::make(*loop);
  MemoryPeer& peer = pair.peer;
  Diary diary;
  std::uint64_t time = 0;
  load::Body body;
  Requests requests;
  Expectation expectation;
  Workplace workplace;
  LoadConnection connection;
};

constexpr std::uint64_t kFirst = kFirstCountedId;

}  // namespace

TEST_CASE("all requests that there is room for leave in one write") {
  Loaded load(Ids::repeated, 3, 5);
  load.fill();
  CHECK_FALSE(load.connection.has_room());
  CHECK(load.peer.received() ==
        load.request(",\"id\":0") + load.request(",\"id\":1") + load.request(",\"id\":2"));
  CHECK(load.peer.writes() == 1);
}

TEST_CASE("a reply makes room, and its id is used again") {
  Loaded load(Ids::repeated, 3, 5);
  load.fill();
  (void)load.peer.take_received();
  load.peer.send(load.reply_to(2) + load.reply_to(0));
  load.turn();
  CHECK(load.diary.take() == Entries{"ok 2", "ok 0"});
  CHECK(load.connection.in_flight() == 1);
  load.fill();
  CHECK(load.peer.received() == load.request(",\"id\":2") + load.request(",\"id\":0"));
}

TEST_CASE("ids that count up are never the same") {
  Loaded load(Ids::counting, 2, 5);
  load.fill();
  for (std::uint64_t id = kFirst; id < kFirst + 20; id += 2) {
    CAPTURE(id);
    CHECK(load.peer.take_received() == load.request(",\"id\":" + std::to_string(id)) +
                                           load.request(",\"id\":" + std::to_string(id + 1)));
    load.peer.send(load.reply_to(id) + load.reply_to(id + 1));
    load.turn();
    load.fill();
  }
  CHECK(load.diary.entries.size() == 20);
  CHECK(load.diary.entries.back() == "ok 19");
}

TEST_CASE("without ids all requests are the same, and replies are taken in order") {
  Loaded load(Ids::none, 2, 5);
  load.fill();
  CHECK(load.peer.take_received() == load.request("") + load.request(""));
  load.peer.send(load.reply(""));
  load.turn();
  load.fill();
  load.peer.send(load.reply("") + load.reply(""));
  load.turn();
  CHECK(load.diary.entries == Entries{"ok 0", "ok 1", "ok 2"});
}

TEST_CASE("replies may come in pieces of any size, also when they are known") {
  for (const Ids ids : {Ids::none, Ids::repeated, Ids::counting}) {
    for (const std::size_t size : {1U, 2U, 3U, 7U, 31U, 57U, 64U, 1'000U}) {
      CAPTURE(size);
      Loaded load(ids, 2, 21);
      std::uint64_t id = ids == Ids::counting ? kFirst : 0;
      for (int round = 0; round < 3; ++round) {
        load.fill();
        std::string replies;
        for (int i = 0; i < 2; ++i) {
          replies += ids == Ids::none ? load.reply("") : load.reply_to(id + (i == 0 ? 0 : 1));
        }
        if (ids == Ids::counting) id += 2;
        load.peer.send_in_pieces(replies, size);
        for (std::size_t i = 0; i < replies.size(); ++i) load.loop->step();
      }
      CHECK(load.diary.entries == Entries{"ok 0", "ok 1", "ok 2", "ok 3", "ok 4", "ok 5"});
    }
  }
}

TEST_CASE("a reply in several frames is one, and frames of different replies may alternate") {
  Loaded load(Ids::repeated, 2, 6);
  load.fill();
  const std::string text = load.text();
  load.peer.send(frame_bytes(R"({"id":0,"data_size":4,"more":true})", text.substr(0, 4)) +
                 frame_bytes(R"({"id":1,"data_size":1,"more":true})", text.substr(0, 1)) +
                 frame_bytes(R"({"id":1,"more":true})") +
                 frame_bytes(R"({"id":0,"data_size":2,"status":"ok"})", text.substr(4)) +
                 frame_bytes(R"({"id":1,"data_size":5,"status":"ok"})", text.substr(1)));
  load.turn();
  CHECK(load.diary.entries == Entries{"ok 0", "ok 1"});
}

TEST_CASE("an error is told with its code, whatever body it has") {
  Loaded load(Ids::repeated, 2, 6);
  load.fill();
  load.peer.send(frame_bytes(R"({"id":1,"status":"error","code":"busy","message":"later"})") +
                 frame_bytes(R"({"id":0,"data_size":3,"status":"error"})", "abc"));
  load.turn();
  CHECK(load.diary.entries == Entries{"error 1 busy later", "error 0 error "});
  CHECK(load.connection.in_flight() == 0);
}

TEST_CASE("a body that differs is told with the place, and the next reply is as good as any") {
  Loaded load(Ids::repeated, 1, 6);
  const std::string text = load.text();
  std::string other = text;
  other[3] = '\x01';
  for (int i = 0; i < 2; ++i) {
    load.fill();
    load.peer.send(frame_bytes(R"({"id":0,"data_size":6,"status":"ok"})", other));
    load.turn();
    const Entries told = load.diary.take();
    REQUIRE(told.size() == 1);
    CHECK(told[0].starts_with("wrong " + std::to_string(2 * i) + " byte 3 of its body is 01"));
    load.fill();
    load.peer.send(load.reply_to(0));
    load.turn();
    CHECK(load.diary.take() == Entries{"ok " + std::to_string(2 * i + 1)});
  }
}

TEST_CASE("a body that is too long, too short, or not there is wrong") {
  Loaded load(Ids::repeated, 1, 6);
  const std::string text = load.text();
  for (const std::string& body : {text + "x", text.substr(1), text.substr(0, 5), std::string()}) {
    CAPTURE(body);
    load.fill();
    load.peer.send(frame_bytes(
        R"({"id":0,"data_size":)" + std::to_string(body.size()) + R"(,"status":"ok"})", body));
    load.turn();
    const Entries told = load.diary.take();
    REQUIRE(told.size() == 1);
    CHECK(told[0].starts_with("wrong "));
  }
}

TEST_CASE("upper has to give the body in upper case, of any size") {
  for (std::uint64_t size = 0; size < 100; ++size) {
    CAPTURE(size);
    Loaded load(Ids::repeated, 1, size, "upper");
    std::string text = load.text();
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    const auto reply = [&load](const std::string& body) {
      load.fill();
      load.peer.send(frame_bytes(
          R"({"id":0,"data_size":)" + std::to_string(body.size()) + R"(,"status":"ok"})", body));
      load.turn();
      return load.diary.take();
    };
    CHECK(reply(text) == Entries{"ok 0"});
    if (size == 0) continue;
    text[size - 1] = static_cast<char>(text[size - 1] ^ 1);
    const Entries told = reply(text);
    REQUIRE(told.size() == 1);
    CHECK(told[0].starts_with("wrong 1 byte " + std::to_string(size - 1)));
  }
}

TEST_CASE("a body of another command is not compared") {
  Loaded load(Ids::repeated, 1, 6, "ping");
  load.fill();
  load.peer.send(frame_bytes(R"({"id":0,"data_size":2,"status":"ok"})", "{}"));
  load.turn();
  CHECK(load.diary.entries == Entries{"ok 0"});
}

TEST_CASE("what no request was waiting for ends the connection with a sentence") {
  struct Case {
    Ids ids;
    std::string came;
  };
  for (const Case& tried : std::vector<Case>{
           {Ids::repeated, frame_bytes(R"({"id":1,"status":"ok"})")},  // free
           {Ids::repeated, frame_bytes(R"({"id":9,"status":"ok"})")},
           {Ids::repeated, frame_bytes(R"({"status":"ok"})")},
           {Ids::counting, frame_bytes(R"({"id":0,"status":"ok"})")},
           {Ids::counting, frame_bytes(R"({"id":1000000000002,"status":"ok"})")},  // a round early
           {Ids::none, frame_bytes(R"({"id":0,"status":"ok"})")}}) {
    CAPTURE(tried.came);
    Loaded load(tried.ids, 2, 0);
    load.connection.start(7);
    load.connection.flush();
    load.peer.send(tried.came);
    load.turn();
    CHECK(load.diary.entries == Entries{"lost 1 a reply came that no request was waiting for"});
    CHECK(load.connection.lost());
    CHECK_FALSE(load.connection.has_room());
    CHECK(load.peer.closed());
  }
}

TEST_CASE("what is no reply ends the connection with a sentence") {
  struct Case {
    std::string came;
    std::string sentence;
  };
  for (const Case& tried : std::vector<Case>{
           {"HTTP/1.1 400", "looks like HTTP"},
           {frame_bytes("[]"), "object"},
           {frame_bytes(R"({"id":0,"status":"fine"})"), "neither ok nor error"},
           {frame_bytes(R"({"status":"error","code":"busy","message":"full"})"), "busy: full"}}) {
    CAPTURE(tried.came);
    Loaded load(Ids::repeated, 1, 0);
    load.fill();
    load.peer.send(tried.came);
    load.turn();
    REQUIRE(load.diary.entries.size() == 1);
    CHECK(load.diary.entries[0].starts_with("lost 1 "));
    CHECK(load.diary.entries[0].find(tried.sentence) != std::string::npos);
  }
}

TEST_CASE("the end of a connection is told with what was in flight") {
  Loaded load(Ids::repeated, 4, 0);
  load.fill();
  load.peer.send(load.reply_to(0)
                     .replace(4, std::string::npos, R"({"id":0,"status":"ok"})")
                     .replace(0, 4, testing::length_bytes(22)));
  load.peer.send_end();
  load.turn();
  CHECK(load.diary.entries == Entries{"ok 0", "lost 3 the server has closed the connection"});
}

TEST_CASE("what a server said before it stopped reading is read") {
  Loaded load(Ids::repeated, 2, 8'000);
  load.peer.set_room(100);
  load.fill();
  load.peer.send(frame_bytes(R"({"status":"error","code":"protocol_error","message":"no"})"));
  load.peer.send_end();
  load.turn();
  CHECK(load.diary.entries == Entries{"lost 2 protocol_error: no"});
}

TEST_CASE("a request is sent in pieces, as there is room") {
  // Longer than a block of what is made up, so that the block's seam is among them.
  struct Case {
    Ids ids;
    std::uint64_t size;
  };
  for (const Case& tried :
       std::vector<Case>{{Ids::repeated, 300}, {Ids::counting, 300}, {Ids::repeated, 1'200'000}}) {
    CAPTURE(tried.size);
    Loaded load(tried.ids, 2, tried.size);
    load.peer.set_room(0);
    load.fill();
    std::string sent;
    const std::uint64_t first = tried.ids == Ids::counting ? kFirst : 0;
    const std::string expected = load.request(",\"id\":" + std::to_string(first)) +
                                 load.request(",\"id\":" + std::to_string(first + 1));
    const std::size_t step = expected.size() / 100 + 1;
    for (int i = 0; i < 200 && sent.size() < expected.size(); ++i) {
      load.peer.set_room(step);
      load.turn();
      sent += load.peer.take_received();
    }
    CHECK((sent == expected));
  }
}

TEST_CASE("replies are read while a request waits for room") {
  Loaded load(Ids::repeated, 2, 100'000);
  load.peer.set_room(load.request(",\"id\":0").size() + 1'000);
  load.fill();
  load.peer.send(load.reply_to(0));
  load.turn();
  CHECK(load.diary.entries == Entries{"ok 0"});
}

TEST_CASE("an id whose reply came early is used again only when its request has been sent") {
  Loaded load(Ids::repeated, 1, 100'000);
  load.peer.set_room(1'000);
  load.fill();
  load.peer.send(frame_bytes(R"({"id":0,"status":"error","code":"too_large","message":"no"})"));
  load.turn();
  CHECK(load.diary.take() == Entries{"error 0 too_large no"});
  CHECK(load.connection.in_flight() == 0);
  CHECK_FALSE(load.diary.told_of_room);
  load.peer.set_room(1'000'000);
  load.turn();
  CHECK(load.diary.told_of_room);
  CHECK((load.peer.received() == load.request(",\"id\":0")));
}

TEST_CASE("a reply before the first byte of its request is no reply") {
  Loaded load(Ids::repeated, 1, 10);
  load.peer.set_room(0);
  load.fill();
  load.peer.send(load.reply_to(0));
  load.turn();
  CHECK(load.diary.entries == Entries{"lost 1 a reply came that no request was waiting for"});
}
