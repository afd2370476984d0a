// SPDX-License-Identifier: MIT
#include "cleave/core/blocking_client.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "cleave/core/file.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// Replies with a body of as many bytes as are asked for, one piece after the other.
class Many final : public Source {
 public:
  explicit Many(std::uint64_t left) : left_(left) {}
  Pulled pull(std::size_t room) override {
    if (left_ == 0) return Done{};
    const auto count = std::min<std::uint64_t>(left_, std::min<std::uint64_t>(room, 65'536));
    left_ -= count;
    return Piece{Buffer::own(std::string(count, 'x'))};
  }

 private:
  std::uint64_t left_;
};

void add(Router& router, Loop& /*loop*/) {
  router.add("back", {.summary = "replies with the body"},
             collected([](const Request&, std::string_view body) -> Result<Reply> {
               return Reply::text(std::string(body));
             }));
  router.add("many", {.summary = "replies with many bytes"},
             collected([](const Request& request, std::string_view) -> Result<Reply> {
               const auto bytes = request.integer("bytes", 0, std::int64_t{1} << 40);
               if (!bytes) return fail(bytes.error());
               return Reply{Members().set("answered", true),
                            std::make_shared<Many>(static_cast<std::uint64_t>(*bytes)),
                            {}};
             }));
}

// A local socket that takes connections and says nothing.
struct SilentServer {
  ScratchDirectory folder;
  std::string path = (folder / "silent").string();
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};

  SilentServer() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd.get(), 8) == 0);
  }
  [[nodiscard]] std::string url() const { return "unix:" + path; }
};

}  // namespace

TEST_CASE("a call blocks until its reply is there, a thousand times") {
  const LiveServer server(add);
  auto client = BlockingClient::connect(server.url()).value();
  for (int i = 0; i < 1'000; ++i) {
    const std::string text = std::to_string(i);
    const auto answer = client.call({.cmd = "back", .body = Buffer::copy_of(text)});
    REQUIRE(answer);
    REQUIRE(answer->body == text);
  }
  CHECK(client.call({.cmd = "nothing"}).error().code == Errc::unknown_command);
}

TEST_CASE("a reply of any size comes piece by piece, and its header at last") {
  const LiveServer server(add);
  auto client = BlockingClient::connect(server.url()).value();
  std::uint64_t came = 0;
  const auto header = client.call({.cmd = "many", .members = Members().set("bytes", 10'000'000)},
                                  [&came](std::string_view bytes) {
                                    came += bytes.size();
                                    return true;
                                  });
  REQUIRE(header);
  CHECK(came == 10'000'000);
  CHECK((*header)->string("status").value() == "ok");
}

TEST_CASE("a reply that is not wanted any more is cancelled, and the client goes on") {
  const LiveServer server(add);
  auto client = BlockingClient::connect(server.url()).value();
  int pieces = 0;
  const auto header =
      client.call({.cmd = "many", .members = Members().set("bytes", std::int64_t{1} << 40)},
                  [&pieces](std::string_view) { return ++pieces < 3; });
  CHECK(header.error().code == Errc::cancelled);
  CHECK(pieces == 3);
  CHECK(client.call({.cmd = "back"}).has_value());
}

TEST_CASE("a reply that is too long to be gathered is too_large, and the client goes on") {
  const LiveServer server(add);
  ReconnectingOptions options;
  options.client.collected_reply_bytes = 1'000'000;
  auto client = BlockingClient::connect(server.url(), options).value();
  const auto answer =
      client.call({.cmd = "many", .members = Members().set("bytes", std::int64_t{1} << 40)});
  CHECK(answer.error().code == Errc::too_large);
  CHECK(client.call({.cmd = "back"}).has_value());
}

TEST_CASE("nobody who listens is unavailable, and a URL that is none an invalid argument") {
  const ScratchDirectory folder;
  const auto nobody = BlockingClient::connect("unix:" + (folder / "nobody").string());
  CHECK(nobody.error().code == Errc::unavailable);
  CHECK(BlockingClient::connect("udp://127.0.0.1:1").error().code == Errc::invalid_argument);
}

TEST_CASE("a silent server is left at the call's timeout, and then another call can be made") {
  const SilentServer server;
  ReconnectingOptions options;
  options.answer_grace = Millis(10);
  auto client = BlockingClient::connect(server.url(), options).value();
  for (int i = 0; i < 2; ++i) {
    const auto answer = client.call({.cmd = "ping", .timeout = Millis(10), .idempotent = true});
    CHECK(answer.error().code == Errc::deadline_exceeded);
  }
}

TEST_CASE("a server that takes no connection is left at connect_timeout") {
  // A queue that is full: local sockets wait for room in it.
  SilentServer server;
  REQUIRE(::listen(server.fd.get(), 0) == 0);
  auto first = BlockingClient::connect(server.url()).value();
  ReconnectingOptions options;
  options.client.connect_timeout = Millis(10);
  const auto second = BlockingClient::connect(server.url(), options);
  CHECK(second.error().code == Errc::unavailable);
}

TEST_CASE("a server that has gone and come back between two calls is noticed by the next") {
  const ScratchDirectory folder;
  const std::string url = "unix:" + (folder / "socket").string();
  std::optional<LiveServer> server(std::in_place, add, ServerOptions(), url);
  auto client = BlockingClient::connect(url).value();
  CHECK(client.call({.cmd = "back"}).has_value());
  server.reset();
  server.emplace(add, ServerOptions(), url);
  CHECK(client.call({.cmd = "back", .body = Buffer::copy_of("again")})->body == "again");
}

TEST_CASE(
    "a server that goes in the middle of a reply is unavailable, and its reply not begun anew") {
  const ScratchDirectory folder;
  const std::string url = "unix:" + (folder / "socket").string();
  std::optional<LiveServer> server(std::in_place, add, ServerOptions(), url);
  auto client = BlockingClient::connect(url).value();
  int pieces = 0;
  const auto header = client.call(
      {.cmd = "many", .members = Members().set("bytes", std::int64_t{1} << 40), .idempotent = true},
      [&](std::string_view) {
        if (++pieces == 3) {
          server.reset();
          server.emplace(add, ServerOptions(), url);
        }
        return true;
      });
  CHECK(header.error().code == Errc::unavailable);
  CHECK(client.call({.cmd = "back"}).has_value());
}

TEST_CASE("a server that is busy is asked again if the call may be repeated") {
  std::atomic<int> asked = 0;
  const LiveServer server([&asked](Router& router, Loop&) {
    router.add("third", {.summary = "is busy twice"},
               collected([&asked](const Request&, std::string_view body) -> Result<Reply> {
                 if (++asked % 3 != 0) return fail(Errc::busy, "not now");
                 return Reply::text(std::string(body));
               }));
  });
  ReconnectingOptions options;
  options.retry.first_delay = Millis(1);
  auto client = BlockingClient::connect(server.url(), options).value();
  const auto answer =
      client.call({.cmd = "third", .body = Buffer::copy_of("body"), .idempotent = true});
  CHECK(answer->body == "body");
  CHECK(asked == 3);
  CHECK(client.call({.cmd = "third"}).error().code == Errc::busy);
  CHECK(asked == 4);
}

TEST_CASE("a blocking client can be moved, and moved over") {
  const LiveServer server(add);
  auto client = BlockingClient::connect(server.url()).value();
  BlockingClient other = std::move(client);
  CHECK(other.call({.cmd = "back"}).has_value());
  other = BlockingClient::connect(server.url()).value();
  CHECK(other.call({.cmd = "back"}).has_value());
}
