// SPDX-License-Identifier: MIT
#include "cleave/handlers/exec.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cleave/testing/live_server.h"
#include "cleave/testing/plain_client.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

struct ExecServer {
  explicit ExecServer(ExecOptions options = {.mode = ExecMode::shell},
                      ServerOptions server_options = {})
      : server([options](Router& router, Loop& loop) { add_exec(router, loop, options); },
               server_options) {}

  LiveServer server;
  PlainClient client{server.port()};

  Frame argv(std::vector<std::string> words, std::string_view body = {}) {
    return client.ask(Members().set("cmd", "exec").set("argv", words), body);
  }
  Frame shell(std::string_view line, std::string_view body = {}) {
    return client.ask(shell_request(line), body);
  }
  // With an id: as a stream.
  Streamed stream(std::string_view line, std::string_view body = {}) {
    client.send(shell_request(line).set("id", 1), body);
    return client.read_streamed();
  }

  static Members shell_request(std::string_view line) {
    return Members().set("cmd", "exec").set("shell", line);
  }
};

// Refers to a process even after it has gone, so that its end can be waited for.
class Watched {
 public:
  explicit Watched(std::string_view pid)
      : pid_(std::stoi(std::string(pid))),
        fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))) {}

  // Waits for the end for at most ten seconds. A process that is gone already has ended.
  [[nodiscard]] bool ended() const {
    if (!fd_) return true;
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ready, 1, 10'000) == 1;
  }
  [[nodiscard]] bool alive() const { return ::kill(pid_, 0) == 0; }
  void kill() const { ::kill(pid_, SIGKILL); }

 private:
  pid_t pid_;
  Fd fd_;
};

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

}  // namespace

// ---- What is refused ----------------------------------------------------------------------------

TEST_CASE("exec that is off is denied, whatever is asked for") {
  ExecServer exec(ExecOptions{});
  CHECK(exec.shell("true").text("code") == "permission_denied");
  CHECK(exec.shell("true", "a body").text("code") == "permission_denied");
  CHECK(exec.argv({}).text("code") == "permission_denied");
}

TEST_CASE("a named program is denied where there is no list of names") {
  ExecServer exec;
  const Frame reply = exec.client.ask(Members().set("cmd", "exec").set("name", "backup"));
  CHECK(reply.text("code") == "permission_denied");
}

TEST_CASE("arguments that cannot be run as they were said are refused") {
  ExecServer exec;
  using namespace std::string_literals;
  const auto request = [] { return Members().set("cmd", "exec"); };
  const auto with = [&](std::string_view name, std::string_view json) {
    return request().set("shell", "echo ran").set_raw(name, json);
  };
  const Members refused[] = {
      request(),
      request().set("shell", "true").set("argv", std::vector<std::string>{"true"}),
      request().set("argv", std::vector<std::string>{}),
      request().set("argv", std::vector<std::string>{"echo", "a\0b"s}),
      request().set("shell", "echo a\0b"s),
      request().set_raw("argv", R"("true")"),
      request().set_raw("argv", R"([1])"),
      request().set_raw("shell", "5"),
      with("cwd", R"("tmp")"),
      with("cwd", R"("")"),
      with("cwd", R"("/tmp\u0000")"),
      with("cwd", "5"),
      with("env", "[]"),
      with("env", R"({"A":1})"),
      with("env", R"({"":"1"})"),
      with("env", R"({"A=B":"1"})"),
      with("env", R"({"A":"\u0000"})"),
  };
  for (const Members& members : refused) {
    CAPTURE(members.object());
    const Frame reply = exec.client.ask(members);
    CHECK(reply.text("code") == "invalid_argument");
    CHECK(reply.body.empty());
  }
}

TEST_CASE("a program that cannot be started is an error and never an exit code") {
  ExecServer exec;
  const Frame missing = exec.argv({"/nonexistent/program"});
  CHECK(missing.text("code") == "not_found");
  CHECK_FALSE(missing.number("exit_code"));
  CHECK(exec.argv({"no-such-program-in-the-path"}).text("code") == "not_found");
  CHECK(exec.argv({"/etc/passwd"}).text("code") == "permission_denied");
  const Frame nowhere =
      exec.client.ask(ExecServer::shell_request("true").set("cwd", "/nonexistent/folder"));
  CHECK(nowhere.text("code") == "not_found");
}

// ---- Results ------------------------------------------------------------------------------------

TEST_CASE("standard output and standard error come one behind the other, with their sizes") {
  ExecServer exec;
  const Frame reply = exec.shell("echo problem >&2; echo result; exit 44");
  CHECK(reply.ok());
  CHECK(reply.body == "result\nproblem\n");
  CHECK(reply.number("stdout_size") == 7);
  CHECK(reply.number("stderr_size") == 8);
  CHECK(reply.number("exit_code") == 44);
  CHECK(reply.number("duration_ms").has_value());
  CHECK_FALSE(reply.number("signal"));
  CHECK_FALSE(reply.flag("orphans"));
}

TEST_CASE("with an id each stream comes in frames that name it, and the result in the last") {
  ExecServer exec;
  const Streamed reply = exec.stream("echo problem >&2; echo result; exit 44");
  CHECK(reply.out == "result\n");
  CHECK(reply.err == "problem\n");
  CHECK(reply.last.ok());
  CHECK(reply.last.body.empty());
  CHECK(reply.last.number("exit_code") == 44);
  CHECK(reply.last.number("duration_ms").has_value());
}

TEST_CASE("output comes while the program runs") {
  ExecServer exec;
  exec.client.send(ExecServer::shell_request("echo ready; read line; echo got $line")
                       .set("id", 1)
                       .set("more", true));
  CHECK(exec.client.read().body == "ready\n");
  exec.client.send(Members().set("id", 1), "it\n");
  CHECK(exec.client.read_streamed().out == "got it\n");
}

TEST_CASE("death by a signal is told by its number, in place of an exit code") {
  ExecServer exec;
  for (const int signal : {SIGTERM, SIGKILL, SIGSEGV, SIGHUP}) {
    CAPTURE(signal);
    const Frame reply = exec.shell("kill -" + std::to_string(signal) + " $$");
    CHECK(reply.ok());
    CHECK(reply.number("signal") == signal);
    CHECK_FALSE(reply.number("exit_code"));
  }
}

TEST_CASE("output of any size comes whole") {
  ExecServer exec;
  const std::size_t sizes[] = {0, 1, 1'024, 65'536, 65'537, 1'048'576, 10'000'000};
  for (const std::size_t size : sizes) {
    CAPTURE(size);
    const std::string line = "head -c " + std::to_string(size) + " /dev/zero";
    const std::string expected(size, '\0');
    const Frame reply = exec.shell(line);
    CHECK(reply.number("exit_code") == 0);
    CHECK(reply.body == expected);
    CHECK(exec.stream(line).out == expected);
  }
}

TEST_CASE("output is bytes, whatever they mean") {
  ExecServer exec;
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  CHECK(exec.argv({"cat"}, bytes).body == bytes);
}

TEST_CASE("output beyond the limit of a single frame is cut, said, and ends the program") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_output_bytes = 100'000}});
  const Frame reply = exec.shell("echo $$ >&2; exec yes");
  CHECK(reply.ok());
  CHECK(reply.flag("truncated"));
  CHECK(reply.number("signal") == SIGKILL);
  CHECK(reply.body.size() == 100'000);
  CHECK(*reply.number("stdout_size") + *reply.number("stderr_size") == 100'000);
  // The limit itself is no excess.
  CHECK_FALSE(exec.shell("head -c 100000 /dev/zero").flag("truncated"));
  CHECK(exec.shell("head -c 100001 /dev/zero").flag("truncated"));
}

TEST_CASE("output that the server has no memory for ends its program, and is given up") {
  ExecServer exec({.mode = ExecMode::shell}, {.limits = {.memory_bytes = 8 * 1024 * 1024}});
  const Frame reply = exec.shell("head -c 16000000 /dev/zero; sleep 100");
  CHECK(reply.text("code") == "overloaded");
  CHECK(reply.text("message").find("memory_bytes") != std::string::npos);
  CHECK(reply.number("signal") == SIGKILL);
  CHECK(reply.flag("truncated"));
  CHECK(reply.body.empty());
  CHECK(exec.shell("echo there is room again").body == "there is room again\n");
}

TEST_CASE("with an id there is no limit to the output") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_output_bytes = 1'024}});
  const Streamed reply = exec.stream("head -c 50000000 /dev/zero; head -c 3 /dev/zero >&2");
  CHECK(reply.out.size() == 50'000'000);
  CHECK(reply.err.size() == 3);
  CHECK(reply.last.number("exit_code") == 0);
  CHECK_FALSE(reply.last.flag("truncated"));
}

// ---- What the program finds ---------------------------------------------------------------------

TEST_CASE("the environment is clean but for what the request adds") {
  ::setenv("CLEAVE_TEST_SECRET", "s3cret", 1);
  ExecServer exec;
  const Frame reply = exec.client.ask(Members()
                                          .set("cmd", "exec")
                                          .set("argv", std::vector<std::string>{"env"})
                                          .set("env", Members().set("GREETING", "hello=there")));
  CHECK(reply.body.find("GREETING=hello=there\n") != std::string::npos);
  CHECK(reply.body.find("PATH=/") != std::string::npos);
  CHECK(reply.body.find("HOME=/") != std::string::npos);
  CHECK(reply.body.find("LANG=C.UTF-8\n") != std::string::npos);
  CHECK(reply.body.find("CLEAVE_RUN=") != std::string::npos);
  CHECK(std::count(reply.body.begin(), reply.body.end(), '\n') == 5);
}

TEST_CASE("the program runs where cwd says") {
  ExecServer exec;
  CHECK(exec.client.ask(ExecServer::shell_request("pwd").set("cwd", "/usr")).body == "/usr\n");
}

TEST_CASE("argv is not seen by a shell") {
  ExecServer exec;
  CHECK(exec.argv({"printf", "%s\n", "$(id);`id`|&\n-rf"}).body == "$(id);`id`|&\n-rf\n");
}

TEST_CASE("the program inherits its three standard descriptors and no other") {
  ExecServer exec;
  const Frame reply = exec.shell(
      "i=0; while [ $i -lt 256 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; exit 0");
  CHECK(reply.body == "0\n1\n2\n");
}

// ---- Standard input -----------------------------------------------------------------------------

TEST_CASE("a body far larger than a pipe arrives whole") {
  ExecServer exec;
  CHECK(exec.argv({"wc", "-c"}, std::string(8 * 1024 * 1024, 'x')).body == "8388608\n");
}

TEST_CASE("a program that copies its input to its output is fed by how fast it is read") {
  ExecServer exec;
  const std::string body(32 * 1024 * 1024, 'x');
  auto sent = std::async(std::launch::async, [&] {
    exec.client.send(
        Members().set("cmd", "exec").set("argv", std::vector<std::string>{"cat"}).set("id", 1),
        body);
  });
  const Streamed reply = exec.client.read_streamed();
  sent.get();
  CHECK(reply.out == body);
  CHECK(reply.last.number("exit_code") == 0);
}

TEST_CASE("a program without a body finds its input at its end") {
  ExecServer exec;
  CHECK(exec.shell("cat; echo end").body == "end\n");
}

TEST_CASE("input that the program does not read is dropped, and the connection goes on") {
  ExecServer exec;
  const std::string body(4 * 1024 * 1024, 'x');
  CHECK(exec.shell("exit 3", body).number("exit_code") == 3);
  CHECK(exec.shell("exec 0<&-; echo closed", body).body == "closed\n");
  CHECK(exec.shell("head -c 10", body).body == "xxxxxxxxxx");
  CHECK(exec.stream("head -c 10", body).out == "xxxxxxxxxx");
  CHECK(exec.shell("echo still here").body == "still here\n");
}

// ---- The end of a run ---------------------------------------------------------------------------

TEST_CASE("a program that closes its output early is waited for") {
  ExecServer exec;
  const Frame reply = exec.shell("echo out; exec >&- 2>&-; read line; exit 44", "now\n");
  CHECK(reply.body == "out\n");
  CHECK(reply.number("exit_code") == 44);
  CHECK_FALSE(reply.flag("orphans"));
}

TEST_CASE("whoever holds the output after the exit is killed and called an orphan") {
  ExecServer exec;
  const std::string line = "sleep 1000 & echo $!";
  const Frame reply = exec.shell(line);
  CHECK(reply.number("exit_code") == 0);
  CHECK(reply.flag("orphans"));
  CHECK(Watched(reply.body).ended());
  const Streamed streamed = exec.stream(line);
  CHECK(streamed.last.number("exit_code") == 0);
  CHECK(streamed.last.flag("orphans"));
  CHECK(Watched(streamed.out).ended());
}

TEST_CASE("output that comes soon after the exit is no orphan's") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_linger_ms = 30'000}});
  const Frame reply = exec.shell("(sleep 0.2; echo late) & exit 5");
  CHECK(reply.number("exit_code") == 5);
  CHECK(reply.body == "late\n");
  CHECK_FALSE(reply.flag("orphans"));
}

TEST_CASE("an orphan that never stops writing does not keep the request alive") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_linger_ms = 50}});
  const Streamed reply = exec.stream("yes & exit 7");
  CHECK(reply.last.number("exit_code") == 7);
  CHECK(reply.last.flag("orphans"));
}

TEST_CASE("an orphan in a session of its own cannot hold the request") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_linger_ms = 50}});
  const Frame reply = exec.shell("setsid sleep 1000 & echo $!; exit 0");
  CHECK(reply.flag("orphans"));
  Watched(reply.body).kill();
}

TEST_CASE("a process in the background that gave the output up is left alone") {
  ExecServer exec;
  const Frame reply = exec.shell("sleep 1000 >/dev/null 2>&1 & echo $!");
  CHECK_FALSE(reply.flag("orphans"));
  const Watched background(reply.body);
  CHECK(background.alive());
  background.kill();
}

TEST_CASE("a program that nobody set a time for ends at the default longest run time") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_timeout_ms = 200}});
  const Frame reply = exec.shell("echo begun; exec sleep 1000");
  CHECK(reply.text("code") == "deadline_exceeded");
  CHECK(reply.text("message").find("exec_timeout_ms") != std::string::npos);
  CHECK(reply.flag("timed_out"));
  CHECK(reply.number("signal") == SIGTERM);
  CHECK(reply.body == "begun\n");
  const Streamed streamed = exec.stream("echo begun; exec sleep 1000");
  CHECK(streamed.last.text("code") == "deadline_exceeded");
  CHECK(streamed.last.flag("timed_out"));
  CHECK(streamed.last.number("signal") == SIGTERM);
  CHECK(streamed.out == "begun\n");
}

TEST_CASE("a request's own timeout_ms stands in place of the default") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_timeout_ms = 100}});
  CHECK(exec.client.ask(ExecServer::shell_request("sleep 0.4; echo done").set("timeout_ms", 60'000))
            .body == "done\n");
  const Frame late = exec.client.ask(
      ExecServer::shell_request("echo begun; exec sleep 1000").set("timeout_ms", 200));
  CHECK(late.text("code") == "deadline_exceeded");
  CHECK(late.flag("timed_out"));
  CHECK(late.number("signal") == SIGTERM);
  CHECK(late.body == "begun\n");
}

TEST_CASE("a program that ignores SIGTERM is killed after the grace, with all of its group") {
  ExecServer exec(
      {.mode = ExecMode::shell, .limits = {.exec_timeout_ms = 200, .exec_kill_grace_ms = 200}});
  const Frame reply =
      exec.shell("trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1000; done");
  CHECK(reply.text("code") == "deadline_exceeded");
  CHECK(reply.number("signal") == SIGKILL);
  CHECK(Watched(reply.body).ended());
}

TEST_CASE("a program may clean up at SIGTERM, and what it says then comes too") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_timeout_ms = 300}});
  const Frame reply = exec.shell("trap 'echo cleaned; exit 9' TERM; echo begun; sleep 1000 & wait");
  CHECK(reply.text("code") == "deadline_exceeded");
  CHECK(reply.number("exit_code") == 9);
  CHECK(reply.body == "begun\ncleaned\n");
}

TEST_CASE("a cancelled program ends, and its reply says how") {
  ExecServer exec;
  exec.client.send(ExecServer::shell_request("echo $$; exec sleep 1000").set("id", 1), "body");
  const Watched program(exec.client.read().body);
  exec.client.send(Members().set("cmd", "cancel").set("id", 2).set("target", 1));
  bool acknowledged = false;
  Frame last;
  for (int i = 0; i < 2; ++i) {
    Frame frame = exec.client.read();
    if (frame.number("id") == 2) {
      acknowledged = frame.ok();
    } else {
      last = std::move(frame);
    }
  }
  CHECK(acknowledged);
  CHECK(last.text("code") == "cancelled");
  CHECK(last.number("signal") == SIGTERM);
  CHECK_FALSE(last.flag("timed_out"));
  CHECK(program.ended());
}

TEST_CASE("a client that goes takes its program with it") {
  ExecServer exec;
  const std::string line = "sleep 1000 & echo $$ $!; wait";
  SUBCASE("while its output is streamed") {
    exec.client.send(ExecServer::shell_request(line).set("id", 1));
  }
  SUBCASE("while its body is still coming") {
    exec.client.send(ExecServer::shell_request(line).set("id", 1).set("more", true));
  }
  const std::string pids = exec.client.read().body;
  const Watched shell(pids);
  const Watched child(pids.substr(pids.find(' ') + 1));
  exec.client.reset();
  CHECK(shell.ended());
  CHECK(child.ended());
}

TEST_CASE("programs that still run when the server goes are killed") {
  std::optional<Watched> program;
  {
    ExecServer exec;
    exec.client.send(ExecServer::shell_request("trap '' TERM; echo $$; read line")
                         .set("id", 1)
                         .set("more", true));
    program.emplace(exec.client.read().body);
    CHECK(program->alive());
  }
  CHECK(program->ended());
}

// ---- Many ---------------------------------------------------------------------------------------

TEST_CASE("eight programs run at once, and the ninth is told to come back") {
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_max_running = 8}});
  // Each waits for the end of its input, so all of them run until they are let go.
  for (int id = 1; id <= 8; ++id) {
    exec.client.send(ExecServer::shell_request("cat; echo done").set("id", id).set("more", true));
  }
  PlainClient other(exec.server.port());
  CHECK(other.ask(ExecServer::shell_request("true")).text("code") == "busy");
  for (int id = 1; id <= 8; ++id) exec.client.send(Members().set("id", id), "input ");
  std::string outputs[9];
  for (int ends = 0; ends < 8;) {
    const Frame frame = exec.client.read();
    const auto id = static_cast<std::size_t>(*frame.number("id"));
    outputs[id] += frame.body;
    if (!frame.flag("more")) {
      ++ends;
      CHECK(frame.number("exit_code") == 0);
    }
  }
  for (int id = 1; id <= 8; ++id) CHECK(outputs[id] == "input done\n");
  CHECK(other.ask(ExecServer::shell_request("true")).ok());
}

TEST_CASE("two hundred runs leave neither a descriptor nor a child behind") {
  ExecServer exec;
  CHECK(exec.argv({"true"}).number("exit_code") == 0);
  const std::ptrdiff_t before = open_descriptors();
  for (int i = 0; i < 200; ++i) CHECK(exec.argv({"true"}).number("exit_code") == 0);
  // A run is let go when its reply was queued, and so before this one is looked at.
  CHECK(exec.argv({}).text("code") == "invalid_argument");
  CHECK(open_descriptors() == before);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

TEST_CASE("slow readers stop programs, and lose nothing") {
  ExecServer exec;
  // Eight readers that do not read yet, each of more than pipes, window and output hold.
  constexpr std::size_t kBytes = 16 * 1024 * 1024;
  std::vector<std::unique_ptr<PlainClient>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(std::make_unique<PlainClient>(exec.server.port()));
    readers.back()->send(
        ExecServer::shell_request("head -c " + std::to_string(kBytes) + " /dev/zero").set("id", 1));
  }
  CHECK(exec.shell("echo others go on").body == "others go on\n");
  for (const auto& reader : readers) {
    const Streamed reply = reader->read_streamed();
    CHECK(reply.out.size() == kBytes);
    CHECK(reply.last.number("exit_code") == 0);
  }
}

// ---- Named commands -----------------------------------------------------------------------------

namespace {

NamedCommand shell_command(const std::string& line) {
  return {.argv = {"/bin/sh", "-c", line}};
}

ExecOptions named(const NamedCommand& command) {
  return {.mode = ExecMode::named, .commands = {{"it", command}}};
}

Members run_it() {
  return Members().set("cmd", "exec").set("name", "it");
}

}  // namespace

TEST_CASE("a named command runs, and nothing else does") {
  NamedCommand command = shell_command("echo \"$0\"; cat");
  command.argv.emplace_back("{who}");
  command.arguments = {{"who", {.rule = NamedArgument::OneOf{"me", "you"}}}};
  ExecServer exec(named(command));
  const auto with = [](const char* who) { return run_it().set("args", Members().set("who", who)); };
  const Frame reply = exec.client.ask(with("me"), "input");
  CHECK(reply.ok());
  CHECK(reply.number("exit_code") == 0);
  CHECK(reply.body == "me\ninput");
  CHECK(exec.client.ask(with("them")).text("code") == "invalid_argument");
  CHECK(exec.client.ask(run_it()).text("code") == "invalid_argument");
  CHECK(exec.argv({"/bin/echo"}).text("code") == "permission_denied");
  CHECK(exec.shell("echo").text("code") == "permission_denied");
  CHECK(exec.client.ask(with("me").set("cwd", "/")).text("code") == "permission_denied");
  CHECK(exec.client.ask(Members().set("cmd", "exec").set("name", "other")).text("code") ==
        "permission_denied");
  CHECK(exec.client.ask(Members().set("cmd", "exec")).text("code") == "invalid_argument");
}

TEST_CASE("a named command ends at its own time limit, whatever its client allows") {
  NamedCommand command = shell_command("sleep 1000");
  command.timeout_ms = 200;
  ExecServer exec(named(command));
  const Frame reply = exec.client.ask(run_it().set("timeout_ms", 60'000));
  CHECK(reply.text("code") == "deadline_exceeded");
  CHECK(reply.flag("timed_out"));
  CHECK(reply.text("killed_by") == "timeout");
  CHECK(reply.number("signal") == SIGTERM);
}

TEST_CASE("a named command that writes nothing for too long ends, and one that writes does not") {
  NamedCommand command =
      shell_command("for i in 1 2 3 4 5; do echo $i; sleep 0.2; done; sleep 1000");
  command.silence_ms = 800;
  ExecServer exec(named(command));
  const Frame reply = exec.client.ask(run_it());
  CHECK(reply.text("code") == "deadline_exceeded");
  CHECK(reply.text("killed_by") == "silence");
  CHECK(reply.body == "1\n2\n3\n4\n5\n");
}

TEST_CASE("a named command has its own limit of output, in frames and in one") {
  NamedCommand command = shell_command("head -c 3000 /dev/zero; read x");
  command.output_bytes = 2'000;
  ExecServer exec(named(command));
  const Frame cut = exec.client.ask(run_it());
  CHECK(cut.flag("truncated"));
  CHECK(cut.body.size() == 2'000);
  exec.client.send(run_it().set("id", 1).set("more", true));
  const Streamed streamed = exec.client.read_streamed();
  CHECK(streamed.last.flag("truncated"));
  CHECK(streamed.last.text("killed_by") == "output");
  CHECK(streamed.last.number("signal") == SIGKILL);
  CHECK(streamed.last.number("stdout_size") == 2'000);
  CHECK(streamed.out.size() == 2'000);
}

TEST_CASE("a named command runs so often at once, and no oftener") {
  NamedCommand command = shell_command("echo begun; read x");
  command.max_parallel = 1;
  ExecServer exec(named(command));
  exec.client.send(run_it().set("id", 1).set("more", true));
  CHECK(exec.client.read().text("stream") == "stdout");
  PlainClient other(exec.server.port());
  const Frame busy = other.ask(run_it());
  CHECK(busy.text("code") == "busy");
  CHECK(busy.text("message").find("max_parallel") != std::string::npos);
  exec.client.send(Members().set("id", 1));
  CHECK(exec.client.read_streamed().last.text("status") == "ok");
  CHECK(other.ask(run_it()).text("status") == "ok");
}

TEST_CASE("a named command runs on without its client if it was written so, and ends if not") {
  const ScratchDirectory scratch;
  const std::string go = scratch / "go";
  const std::string done = scratch / "done";
  REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
  NamedCommand command = shell_command("echo $$; cat; read x <" + go +
                                       "; head -c 1000000 /dev/zero; echo done >" + done);
  bool runs_on = false;
  bool whole = true;
  SUBCASE("it runs on") {
    command.detach = true;
    runs_on = true;
  }
  SUBCASE("it ends") {}
  SUBCASE("it ends, as its input is not whole") {
    command.detach = true;
    whole = false;
  }
  ExecServer exec(named(command));
  PlainClient client(exec.server.port());
  Members request = run_it().set("id", 1);
  if (!whole) request.set("more", true);
  client.send(request);
  const Watched program(client.read().body);
  client.reset();
  if (runs_on) std::ofstream(go) << "go\n";
  CHECK(program.ended());
  CHECK(std::filesystem::exists(done) == runs_on);
}

TEST_CASE("a program that is to end does not find its input at its end") {
  const ScratchDirectory scratch;
  const std::string taken = scratch / "taken";
  ExecServer exec;
  PlainClient client(exec.server.port());
  client.send(ExecServer::shell_request("trap '' TERM; echo $$; cat >/dev/null; echo >" + taken)
                  .set("id", 1)
                  .set("more", true),
              "abc");
  const Watched program(client.read().body);
  SUBCASE("its client has gone") {
    client.reset();
  }
  SUBCASE("it is cancelled") {
    client.send(Members().set("cmd", "cancel").set("target", 1));
  }
  CHECK(program.ended());
  CHECK_FALSE(std::filesystem::exists(taken));
}

TEST_CASE("others of a program's group have the whole grace to clean up") {
  const ScratchDirectory scratch;
  const std::string go = scratch / "go";
  const std::string clean = scratch / "clean";
  REQUIRE(::mkfifo(go.c_str(), 0600) == 0);
  const Fd held(::open(go.c_str(), O_RDWR | O_CLOEXEC));
  // The shell dies at once; the one in the background, which gave up the output, takes its time.
  const std::string line = "(trap '' TERM; sh -c \"echo $$ \\$PPID\"; exec >&- 2>&-; read x <" +
                           go + "; echo >" + clean + ") & wait";
  ExecServer exec({.mode = ExecMode::shell, .limits = {.exec_kill_grace_ms = 60'000}});
  PlainClient client(exec.server.port());
  client.send(ExecServer::shell_request(line).set("id", 1));
  const std::string pids = client.read().body;
  const Watched shell(pids);
  const Watched worker(pids.substr(pids.find(' ') + 1));
  client.reset();
  CHECK(shell.ended());
  REQUIRE(::write(held.get(), "go\n", 3) == 3);
  CHECK(worker.ended());
  CHECK(std::filesystem::exists(clean));
}

TEST_CASE("limits, and privileges that cannot be had again, hold for a named command") {
  NamedCommand command = shell_command("ulimit -n; grep NoNewPrivs /proc/self/status");
  command.rlimits = {{"nofile", 17}};
  command.no_new_privileges = true;
  ExecServer exec(named(command));
  CHECK(exec.client.ask(run_it()).body == "17\nNoNewPrivs:\t1\n");
}

TEST_CASE("a named command runs as another user, with that one's groups alone") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root's rights");
    return;
  }
  NamedCommand command = shell_command("id -u; id -G");
  command.user = "nobody";
  REQUIRE(check_command(command));
  ExecServer exec(named(command));
  CHECK(exec.client.ask(run_it()).body == "65534\n65534\n");
}

TEST_CASE("a named command ends at the server's longest run time, whatever its client allows") {
  ExecOptions options = named(shell_command("exec sleep 1000"));
  options.limits.exec_timeout_ms = 200;
  ExecServer exec(options);
  const Frame reply = exec.client.ask(run_it().set("timeout_ms", 3'600'000));
  CHECK(reply.text("code") == "deadline_exceeded");
  CHECK(reply.text("message").find("exec_timeout_ms") != std::string::npos);
}

TEST_CASE("a named command may run with another group alone") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: needs root's rights");
    return;
  }
  NamedCommand command = shell_command("id -u; id -G");
  command.group = "nogroup";
  REQUIRE(check_command(command));
  ExecServer exec(named(command));
  CHECK(exec.client.ask(run_it()).body == "0\n65534\n");
}

TEST_CASE("who holds the output after the exit is killed, however slow the reader is") {
  const ScratchDirectory scratch;
  const std::string fifo = scratch / "pid";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  ExecServer exec;
  exec.client.send(ExecServer::shell_request("yes & echo $! >" + fifo + "; exit 3").set("id", 1));
  std::string pid;
  std::getline(std::ifstream(fifo), pid);
  const Watched holder(pid);
  CHECK(holder.ended());  // and nothing has been read
  const Frame last = exec.client.read_streamed().last;
  CHECK(last.number("exit_code") == 3);
  CHECK(last.flag("orphans"));
}

TEST_CASE("what a named command leaves in the background is killed, unless it may stay") {
  NamedCommand command = shell_command("sleep 1000 >/dev/null 2>&1 & echo $!");
  SUBCASE("killed") {}
  SUBCASE("it may stay") {
    command.background = true;
  }
  ExecServer exec(named(command));
  const Watched left(exec.client.ask(run_it()).body);
  if (command.background) {
    CHECK(left.alive());
    left.kill();
  }
  CHECK(left.ended());
}

TEST_CASE("help tells the named commands and their arguments") {
  NamedCommand command = shell_command("echo \"$0\"");
  command.summary = "says who";
  command.argv.emplace_back("{who}");
  command.arguments = {{"who", {.rule = Pattern::compile("[a-z]+").value()}}};
  const Router router = [&] {
    Router filled;
    const auto loop = Loop::create().value();
    add_exec(filled, *loop, named(command));
    return filled;
  }();
  const std::string details(router.find("exec")->spec.details.text());
  CHECK(details.find(R"("name":"it","summary":"says who")") != std::string::npos);
  CHECK(details.find(R"("pattern":"[a-z]+")") != std::string::npos);
}

// ---- What is known of a run ---------------------------------------------------------------------

TEST_CASE("every run is recorded once, with who ran what and how it ended") {
  struct Record {
    std::string peer, argv, killed_by;
    std::optional<ProcessExit> exit;
    std::uint64_t in, out, err;
  };
  std::mutex mutex;
  std::vector<Record> records;
  ExecOptions options{
      .mode = ExecMode::shell, .on_run = [&](const RunRecord& run) {
        const std::lock_guard hold(mutex);
        records.push_back({run.peer.address, run.argv.back(), std::string(run.killed_by), run.exit,
                           run.in_bytes, run.out_bytes, run.err_bytes});
      }};
  {
    ExecServer exec(options);
    exec.shell("cat; echo wrong >&2; exit 3", "in");
    exec.client.ask(ExecServer::shell_request("sleep 1000").set("timeout_ms", 100));
    exec.argv({"/nowhere/program"});  // never ran
  }
  REQUIRE(records.size() == 2);
  CHECK(records[0].peer.starts_with("127.0.0.1:"));
  CHECK(records[0].argv == "cat; echo wrong >&2; exit 3");
  CHECK(records[0].exit->code == 3);
  CHECK(records[0].in == 2);
  CHECK(records[0].out == 2);
  CHECK(records[0].err == 6);
  CHECK(records[0].killed_by.empty());
  CHECK(records[1].killed_by == "timeout");
  CHECK(records[1].exit->signal == SIGTERM);
}

TEST_CASE("who left the group for a session of its own is killed with the program") {
  ExecServer exec;
  const Frame reply = exec.client.ask(
      ExecServer::shell_request("setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000")
          .set("timeout_ms", 500));
  CHECK(reply.flag("timed_out"));
  CHECK(Watched(reply.body).ended());
}
