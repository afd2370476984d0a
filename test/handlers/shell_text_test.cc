// SPDX-License-Identifier: MIT
// exec on the wires that carry bare messages.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "cleave/handlers/exec.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;
using namespace std::string_literals;

namespace {

// A client of the wire `header`, where everything can be seen.
struct ShellServer {
  explicit ShellServer(ExecOptions options = {.mode = ExecMode::shell})
      : test([options](Router& router, Loop& loop) { add_exec(router, loop, options); }),
        peer(test.connect({.wire = Wire::header, .cmd = "exec"})) {}

  TestServer test;
  TestPeer peer;

  // The reply's header and body; on this wire it has the form of a frame.
  Frame ask(std::string_view line) {
    peer.wire().send(line);
    std::optional<Frame> reply;
    REQUIRE(test.run_until([&] {
      reply = peer.read();
      return reply.has_value();
    }));
    return *std::move(reply);
  }
};

}  // namespace

TEST_CASE("a line is run by a shell, and its output comes back") {
  ShellServer server;
  const Frame reply = server.ask("echo out; exit 3");
  CHECK(reply.body == "out\n");
  CHECK(reply.number("data_size") == 4);
  CHECK(reply.number("exit_code") == 3);
  CHECK_FALSE(reply.header->find("status"));
}

TEST_CASE("standard error, where there is any, comes instead of standard output") {
  ShellServer server;
  CHECK(server.ask("echo out; echo err >&2").body == "err\n");
  CHECK(server.ask("echo err >&2; echo out").body == "err\n");
  CHECK(server.ask("echo out; true >&2").body == "out\n");
}

TEST_CASE("a line without output has a reply of no bytes") {
  ShellServer server;
  const Frame reply = server.ask("true");
  CHECK(reply.number("data_size") == 0);
  CHECK(reply.number("exit_code") == 0);
}

TEST_CASE("bytes go through untouched, whatever their encoding") {
  ShellServer server;
  CHECK(server.ask("printf '\\326\\320\\0\\377'").body == "\326\320\0\377"s);
  CHECK(server.ask("echo 粘包").body == "粘包\n");
}

TEST_CASE("a mebibyte of output arrives whole") {
  ShellServer server;
  CHECK(server.ask("head -c 1048576 /dev/zero").body == std::string(1'048'576, '\0'));
}

TEST_CASE("a line runs without standard input and without the server's environment") {
  ShellServer server;
  CHECK(server.ask("cat").body.empty());
  CHECK(server.ask("env | cut -d= -f1 | grep -v -x -e PWD -e _ -e SHLVL -e OLDPWD | sort").body ==
        "CLEAVE_RUN\nHOME\nLANG\nPATH\n");
}

TEST_CASE("a line that begins with a dash is a line, and no option of the shell") {
  ShellServer server;
  const Frame reply = server.ask("--version");
  CHECK(reply.number("exit_code") == 127);
}

TEST_CASE("a line has 1,024 bytes at the most, in UTF-8 and without a NUL") {
  ShellServer server;
  const std::string longest = "true " + std::string(1'019, 'x');
  CHECK(server.ask(longest).number("exit_code") == 0);
  CHECK(server.ask("echo \xFF").text("code") == "invalid_argument");
  CHECK(server.ask("echo a\0b"s).text("code") == "invalid_argument");
  CHECK(server.ask(" \n").number("exit_code") == 0);
  CHECK(server.ask("echo still here").body == "still here\n");
  CHECK(server.ask(longest + "x").text("code") == "too_large");
  CHECK(server.peer.wire().ended());
}

TEST_CASE("a line that runs too long is ended, and its reply says so") {
  ShellServer server;
  server.peer.wire().send("echo begun; exec sleep 1000");
  server.test.settle();
  server.test.advance(Millis(60'000));
  std::optional<Frame> reply;
  REQUIRE(server.test.run_until([&] {
    reply = server.peer.read();
    return reply.has_value();
  }));
  CHECK(reply->text("code") == "deadline_exceeded");
  CHECK(reply->number("signal") == 15);
}

TEST_CASE("an output that is too long is an error, as nothing could say that it was cut") {
  ShellServer server({.mode = ExecMode::shell, .limits = {.exec_output_bytes = 1'024}});
  CHECK(server.ask("head -c 1024 /dev/zero").body.size() == 1'024);
  CHECK(server.ask("head -c 1025 /dev/zero").text("code") == "too_large");
}

TEST_CASE("no more lines run at once than programs may") {
  ShellServer server({.mode = ExecMode::shell, .limits = {.exec_max_running = 1}});
  TestPeer other = server.test.connect({.wire = Wire::header, .cmd = "exec"});
  other.wire().send("exec sleep 1000");
  server.test.settle();
  CHECK(server.ask("true").text("code") == "busy");
  other.wire().reset();
  server.test.settle();
}

TEST_CASE("with exec off there is nothing to listen for") {
  TestServer test([](Router& router, Loop& loop) { add_exec(router, loop, {}); });
  const auto bound = test.server()->listen("tcp://127.0.0.1:0?wire=ready&cmd=exec");
  REQUIRE_FALSE(bound);
  CHECK(bound.error().code == Errc::invalid_argument);
}
