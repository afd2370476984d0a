// SPDX-License-Identifier: MIT
// Somebody else's program: a handler of its own that a client of its own asks, beside Cleave's, and
// a test of it on the kit. Ends with 0 if all of that goes well.
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include "cleave/core/client.h"
#include "cleave/core/server.h"
#include "cleave/handlers/digest.h"
#include "cleave/handlers/echo.h"
#include "cleave/testing/test_server.h"

namespace {

void add_commands(cleave::Router& router) {
  cleave::add_echo(router);
  router.add("sha256", {.summary = "the digest of the body"},
             cleave::collected([](const cleave::Request&,
                                  std::string_view body) -> cleave::Result<cleave::Reply> {
               if (body.empty()) throw std::invalid_argument("nothing to digest");
               auto digest = cleave::Digest::create(cleave::DigestKind::sha256);
               if (!digest) return cleave::fail(digest.error());
               digest->update(body);
               return cleave::Reply::text(digest->finish());
             }));
}

// What a client is answered over TCP.
std::string ask(const std::string& cmd, const std::string& body) {
  auto loop = cleave::Loop::create().value();
  cleave::Router router;
  add_commands(router);
  cleave::Server server(*loop, router);
  const std::string url = server.listen("tcp://127.0.0.1:0").value();

  std::unique_ptr<cleave::Client> client;
  std::string reply;
  const auto answered = [&](cleave::Result<cleave::Answer> answer) {
    reply = answer ? answer->body : std::string(cleave::to_string(answer.error().code));
    loop->stop();
  };
  cleave::Client::connect(
      *loop, url, {}, [&](cleave::Result<std::unique_ptr<cleave::Client>> connected) {
        client = std::move(connected).value();
        client->call({.cmd = cmd, .body = cleave::Buffer::copy_of(body)}, answered);
      });
  loop->run();
  return reply;
}

// What a peer is answered in memory.
std::string ask_in_memory(const std::string& header, const std::string& body) {
  cleave::testing::TestServer test(
      [](cleave::Router& router, cleave::Loop&) { add_commands(router); });
  cleave::testing::TestPeer peer = test.connect();
  peer.send(header, body);
  test.settle();
  return peer.read().value().body;
}

}  // namespace

int main() {
  const std::string digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const bool right = ask("echo", "embedded") == "embedded" && ask("sha256", "abc") == digest &&
                     ask("sha256", "") == "internal" &&
                     ask_in_memory(R"({"cmd":"sha256","data_size":3})", "abc") == digest;
  std::puts(right ? "embedded" : "wrong");
  return right ? 0 : 1;
}
