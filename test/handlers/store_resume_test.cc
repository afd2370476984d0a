// SPDX-License-Identifier: MIT
// Uploads that are gone on with, as a client sees them.
#include <doctest/doctest.h>

#include <string>

#include "cleave/testing/frame_bytes.h"
#include "store_server.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kWhole = "hello world";

Members part(std::uint64_t offset, std::string_view upload = "u") {
  return StoreServer::put_of("f")
      .set("upload", upload)
      .set("file_size", kWhole.size())
      .set("offset", offset);
}

Frame status_of(StoreServer& store, std::string_view upload = "u") {
  return store.client.ask(Members().set("cmd", "stat").set("upload", upload));
}

// Sends the head of a put and some of its body, and goes.
void send_and_go(StoreServer& store, std::string_view bytes, bool reset) {
  PlainClient other(store.server.port());
  other.write(frame_bytes(part(0).set("data_size", kWhole.size()).object()) + std::string(bytes));
  // Before that a reset may overtake the request itself.
  REQUIRE(comes_true([&] { return fs::exists(store.root / ".cleave/uploads/u.data"); }));
  if (reset) other.reset();
}

}  // namespace

TEST_CASE("a put in parts tells how far it is, and is stored with the last of them") {
  StoreServer store;
  const Frame first = store.client.ask(part(0), kWhole.substr(0, 4));
  CHECK(first.ok());
  CHECK(first.text("upload") == "u");
  CHECK(first.number("offset") == 4);
  const Frame between = status_of(store);
  CHECK(between.text("filename") == "f");
  CHECK(between.number("file_size") == kWhole.size());
  CHECK(between.number("offset") == 4);
  CHECK_FALSE(between.flag("complete"));
  CHECK(store.ask("stat", "f").text("code") == "not_found");
  const Frame last =
      store.client.ask(part(4).set("md5", "5eb63bbbe01eeed093cb22bb8f5acdc3"), kWhole.substr(4));
  CHECK(last.ok());
  CHECK(last.text("filename") == "f");
  CHECK(last.number("file_size") == kWhole.size());
  CHECK(content_of(store.root / "f") == kWhole);
  const Frame after = status_of(store);
  CHECK(after.flag("complete"));
  CHECK(after.text("xxh3") == last.text("xxh3"));
}

TEST_CASE("a put whose connection breaks is kept, and goes on where it was") {
  bool reset = false;
  SUBCASE("with an end of input") {}
  SUBCASE("with a reset") {
    reset = true;
  }
  StoreServer store;
  send_and_go(store, "hello ", reset);
  REQUIRE(comes_true([&] { return status_of(store).ok(); }));
  const auto offset = static_cast<std::uint64_t>(status_of(store).number("offset").value());
  CHECK(offset <= 6);
  CHECK(store.client.ask(part(offset), kWhole.substr(offset)).ok());
  CHECK(content_of(store.root / "f") == kWhole);
}

TEST_CASE("a put that does not begin where the upload is learns where that is") {
  StoreServer store;
  REQUIRE(store.client.ask(part(0), kWhole.substr(0, 4)).ok());
  for (const std::uint64_t offset : {0U, 3U, 5U}) {
    CAPTURE(offset);
    const Frame refused = store.client.ask(part(offset), kWhole.substr(offset));
    CHECK(refused.text("code") == "offset_mismatch");
    CHECK(refused.number("offset") == 4);
  }
  CHECK(store.client.ask(part(1, "new"), "x").text("code") == "offset_mismatch");
  CHECK(store.client.ask(part(4), kWhole.substr(4)).ok());
}

TEST_CASE("a put whose answer was lost is answered again") {
  StoreServer store;
  const Frame first = store.client.ask(part(0), kWhole);
  REQUIRE(first.ok());
  const Frame again = store.client.ask(part(kWhole.size()));
  CHECK(again.ok());
  CHECK(again.number("file_size") == kWhole.size());
  CHECK(again.text("xxh3") == first.text("xxh3"));
}

TEST_CASE("a newcomer takes an upload over from a request that has died without a word") {
  StoreServer store;
  PlainClient dead(store.server.port());
  dead.send(part(0).set("id", 1).set("more", true), kWhole.substr(0, 6));
  REQUIRE(comes_true([&] { return fs::exists(store.root / ".cleave/uploads/u.data"); }));
  // It does not know how much has arrived of what was sent before.
  const Frame refused = store.client.ask(part(0), kWhole);
  const auto offset = refused.ok() ? 0 : refused.number("offset").value();
  CHECK(dead.read().text("code") == "failed_precondition");
  if (!refused.ok()) {
    CHECK(refused.text("code") == "offset_mismatch");
    const auto from = static_cast<std::uint64_t>(offset);
    CHECK(store.client.ask(part(from), kWhole.substr(from)).ok());
  }
  CHECK(content_of(store.root / "f") == kWhole);
}

TEST_CASE("of three that want an upload the last has it") {
  StoreServer store;
  for (const int id : {1, 2, 3}) {
    store.client.send(part(0).set("id", id).set("more", true));
  }
  for (int left = 2; left > 0; --left) {
    const Frame superseded = store.client.read();
    CHECK(superseded.number("id").value() < 3);
    CHECK(superseded.text("code") == "failed_precondition");
  }
  store.client.send(Members().set("id", 3), kWhole);
  const Frame stored = store.client.read();
  CHECK(stored.number("id") == 3);
  CHECK(stored.ok());
  CHECK(content_of(store.root / "f") == kWhole);
}

TEST_CASE("a put that is cancelled keeps what came") {
  StoreServer store;
  store.client.send(part(0).set("id", 1).set("more", true), "hello ");
  REQUIRE(comes_true([&] { return fs::exists(store.root / ".cleave/uploads/u.data"); }));
  store.client.send(Members().set("cmd", "cancel").set("id", 2).set("target", 1));
  for (int i = 0; i < 2; ++i) {
    const Frame reply = store.client.read();
    if (reply.number("id") == 1) CHECK(reply.text("code") == "cancelled");
  }
  const Frame status = status_of(store);
  CHECK(status.ok());
  CHECK(status.number("offset").value() <= 6);
}

TEST_CASE("a large body arrives whole through breaks anywhere, with its digests") {
  StoreServer store;
  const std::string body = pattern(5'000'000);
  Digest md5 = Digest::create(DigestKind::md5).value();
  md5.update(body);
  const std::string hex = md5.finish();
  std::uint64_t offset = 0;
  for (const std::size_t stop : {1U, 300'000U, 1'048'576U, 3'000'001U, 4'999'999U}) {
    const Frame reply = store.client.ask(StoreServer::put_of("f")
                                             .set("upload", "u")
                                             .set("file_size", body.size())
                                             .set("offset", offset)
                                             .set("md5", hex),
                                         std::string_view(body).substr(offset, stop - offset));
    REQUIRE(reply.ok());
    CHECK(reply.number("offset") == stop);
    offset = stop;
  }
  const Frame stored = store.client.ask(StoreServer::put_of("f")
                                            .set("upload", "u")
                                            .set("file_size", body.size())
                                            .set("offset", offset)
                                            .set("md5", hex),
                                        std::string_view(body).substr(offset));
  CHECK(stored.ok());
  CHECK(stored.text("md5") == hex);
  CHECK(content_of(store.root / "f") == body);
}

TEST_CASE("more than is to come of an upload is refused") {
  StoreServer store;
  REQUIRE(store.client.ask(part(0), "hello ").ok());
  CHECK(store.client.ask(part(6), "world and more").text("code") == "invalid_argument");
  CHECK(store.client.ask(part(12)).text("code") == "invalid_argument");
  store.client.send(part(6).set("id", 1).set("more", true), "world");
  store.client.send(Members().set("id", 1), "!");
  CHECK(store.client.read().text("code") == "invalid_argument");
}

TEST_CASE("an upload is dropped by its name") {
  StoreServer store;
  REQUIRE(store.client.ask(part(0), "hello ").ok());
  const auto drop = [&] {
    return store.client.ask(Members().set("cmd", "delete").set("upload", "u"));
  };
  CHECK(drop().ok());
  CHECK(drop().text("code") == "not_found");
  CHECK(status_of(store).text("code") == "not_found");
  CHECK(store.client.ask(Members().set("cmd", "stat").set("upload", "u").set("filename", "f"))
            .text("code") == "invalid_argument");
}
