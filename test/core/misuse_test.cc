// SPDX-License-Identifier: MIT
// What a handler's author can do wrong and the compiler cannot see (for what it sees:
// compile_fail/).
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "cleave/core/blocking_client.h"
#include "cleave/core/buffer.h"
#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/testing/test_server.h"

using namespace cleave;

namespace {

#ifndef NDEBUG
Route hello() {
  return collected(
      [](const Request&, std::string_view) -> Result<Reply> { return Reply::text("hello"); });
}

// What a process of its own says before it ends by a failed assert; empty if it ends otherwise.
std::string last_words(const std::function<void()>& misuse) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // doctest's own handler would tell of a failed test, and in the words of the parent.
    ::signal(SIGABRT, SIG_DFL);
    ::dup2(pipe[1], STDERR_FILENO);
    misuse();
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string words;
  std::array<char, 4'096> piece{};
  for (ssize_t size = 0; (size = ::read(pipe[0], piece.data(), piece.size())) > 0;) {
    words.append(piece.data(), static_cast<std::size_t>(size));
  }
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? words : "";
}

bool says(const std::string& words, std::string_view sentence) {
  INFO(words);
  return words.find(sentence) != std::string::npos;
}
#endif

}  // namespace

#ifndef NDEBUG
TEST_CASE("a bug of a handler's author ends the program, with a sentence that names it") {
  Router router;
  router.add("hello", {.summary = "says hello"}, hello());
  Buffer bytes = Buffer::copy_of("abc");
  std::unique_ptr<Loop> of_another_thread;
  std::thread([&] { of_another_thread = Loop::create().value(); }).join();

  CHECK(says(last_words([&] { router.add("hello", {.summary = "again"}, hello()); }),
             "a command was registered twice"));
  CHECK(says(last_words([&] { router.add("", {.summary = "nameless"}, hello()); }),
             "not a name for a command"));
  CHECK(says(last_words([&] { router.add("cancel", {.summary = "taken"}, hello()); }),
             "not a name for a command"));
  CHECK(says(last_words([&] { static_cast<void>(bytes.take_front(4)); }),
             "more was taken from a Buffer than is in it"));
  CHECK(
      says(last_words([&] { bytes.drop_front(4); }), "more was taken from a Buffer than is in it"));
  const auto use_moved = [](const std::function<void(Buffer&)>& use) {
    return says(last_words([&] {
                  Buffer moved = Buffer::copy_of("abc");
                  const Buffer others = std::move(moved);
                  use(moved);
                }),
                "a Buffer was used after it was moved");
  };
  CHECK(use_moved([](Buffer& moved) { static_cast<void>(moved.bytes()); }));
  CHECK(use_moved([](Buffer& moved) { static_cast<void>(moved.size()); }));
  CHECK(use_moved([](Buffer& moved) { static_cast<void>(moved.empty()); }));
  CHECK(use_moved([](Buffer& moved) { static_cast<void>(moved.share()); }));
  CHECK(use_moved([](Buffer& moved) { static_cast<void>(moved.take_front(0)); }));
  CHECK(use_moved([](Buffer& moved) { moved.drop_front(0); }));
  CHECK(says(last_words([&] { of_another_thread->after(Millis(1), [] {}); }),
             "a loop was used from another thread; only post() may be"));
}
#endif

#ifndef NDEBUG
TEST_CASE(
    "a blocking client in its own callback, or moved from, ends the program with a sentence") {
  const auto loop = Loop::create().value();
  const Router router;
  Server server(*loop, router);  // stands still: that a connection is taken is the system's doing
  const std::string url = server.listen("tcp://127.0.0.1:0").value();
  auto client = BlockingClient::connect(url).value();

  CHECK(says(last_words([&] {
               client.loop().post([&] { static_cast<void>(client.call({.cmd = "echo"})); });
               client.wait_until([] { return false; });
             }),
             "a loop cannot be run from inside one of its own callbacks"));
  CHECK(says(last_words([&] {
               const BlockingClient other = std::move(client);
               static_cast<void>(client.call({.cmd = "echo"}));
             }),
             "a BlockingClient was used after it was moved"));
}
#endif

TEST_CASE("a second answer of a token goes nowhere, however it is given") {
  testing::TestServer test([](Router& router, Loop&) {
    router.add("twice", {.summary = "answers twice"},
               later([](const Request&, Buffer, ReplyToken token) {
                 std::move(token).ok(Members().set("answer", 1));
                 CHECK(!token.wanted());
                 std::move(token).ok(Members().set("answer", 2));
                 std::move(token).fail({Errc::internal, "a third"});
                 CHECK(token.holds(1'000'000'000'000).has_value());
               }));
  });
  testing::TestPeer peer = test.connect();
  peer.send(R"({"cmd":"twice"})");
  test.settle();
  const auto frames = peer.read_all();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].number("answer") == 1);
}

TEST_CASE("a handler that gives no reply, or throws, is answered for with a sentence") {
  testing::TestServer test([](Router& router, Loop&) {
    router.add("silent", {.summary = "loses its token"},
               later([](const Request&, Buffer, ReplyToken) {}));
    router.add("throws", {.summary = "throws"},
               later([](const Request&, Buffer, ReplyToken) { throw std::runtime_error("oh"); }));
  });
  testing::TestPeer peer = test.connect();
  peer.send(R"({"cmd":"silent"})");
  peer.send(R"({"cmd":"throws"})");
  test.settle();
  const auto frames = peer.read_all();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].text("code") == "internal");
  CHECK(frames[0].text("message") == "the handler gave no reply");
  CHECK(frames[1].text("code") == "internal");
  CHECK(frames[1].text("message") == "the handler failed: oh");
}

TEST_CASE("a Buffer that was moved from can be assigned to, and moves on as it is") {
  Buffer bytes = Buffer::copy_of("abc");
  Buffer others = std::move(bytes);
  CHECK(others.bytes() == "abc");
  Buffer nothing = std::move(bytes);
  bytes = Buffer::copy_of("d");
  CHECK(bytes.bytes() == "d");
  Buffer& same = others;
  others = std::move(same);
  CHECK(others.bytes() == "abc");
  nothing = Buffer();
  CHECK(nothing.empty());
}
