// SPDX-License-Identifier: MIT
#include "cleave/handlers/upper.h"

#include <doctest/doctest.h>

#include <future>
#include <string>

#include "cleave/testing/live_server.h"
#include "cleave/testing/plain_client.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

LiveServer upper_server() {
  return LiveServer([](Router& router, Loop&) { add_upper(router); });
}

// Every byte, in an order that puts letters at every place of a block.
std::string all_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  return bytes;
}

std::string upper_one_by_one(std::string bytes) {
  for (char& c : bytes) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return bytes;
}

}  // namespace

TEST_CASE("upper changes a to z and no other byte, at every length around its blocks") {
  const LiveServer server = upper_server();
  PlainClient client(server.port());
  const std::size_t sizes[] = {0, 1, 31, 32, 33, 63, 64, 65, 256, 4'096, 65'535, 100'001};
  for (const std::size_t size : sizes) {
    CAPTURE(size);
    const std::string body = all_bytes(size);
    CHECK(client.ask(Members().set("cmd", "upper"), body).body == upper_one_by_one(body));
  }
}

TEST_CASE("upper leaves text in UTF-8 whole") {
  const LiveServer server = upper_server();
  PlainClient client(server.port());
  CHECK(client.ask(Members().set("cmd", "upper"), "größe 粘包 {a} [z] `@").body ==
        "GRößE 粘包 {A} [Z] `@");
}

TEST_CASE("upper answers while the body still comes") {
  const LiveServer server = upper_server();
  PlainClient client(server.port());
  client.send(Members().set("cmd", "upper").set("id", 1).set("more", true), "first");
  CHECK(client.read().body == "FIRST");
  client.send(Members().set("id", 1), "second");
  std::string rest;
  Frame frame;
  do {
    frame = client.read();
    rest += frame.body;
  } while (frame.flag("more"));
  CHECK(rest == "SECOND");
  CHECK(frame.ok());
}

TEST_CASE("a body far larger than a connection may hold passes through upper") {
  const LiveServer server = upper_server();
  PlainClient client(server.port());
  constexpr std::size_t kBytes = 64 * 1024 * 1024;
  const std::string body(kBytes, 'x');
  // The server takes no more while nobody reads, so reading needs a hand of its own.
  auto sent =
      std::async(std::launch::async, [&] { client.send(Members().set("cmd", "upper"), body); });
  const Frame reply = client.read();
  sent.get();
  CHECK(reply.body == std::string(kBytes, 'X'));
}
