// SPDX-License-Identifier: MIT
#include "cleave/handlers/run_cgroups.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "cleave/handlers/exec.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/plain_client.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;
namespace fs = std::filesystem;

namespace {

// A cgroup of the test's own, where the system lets it have one.
class OwnCgroup {
 public:
  OwnCgroup() {
    std::ifstream mounts("/proc/self/mounts");
    std::string device;
    std::string point;
    std::string type;
    std::string rest;
    while (mounts >> device >> point >> type && std::getline(mounts, rest)) {
      if (type != "cgroup2") continue;
      path_ = point + "/cleave-test-" + std::to_string(::getpid());
      there_ = ::mkdir(path_.c_str(), 0755) == 0;
      return;
    }
  }
  ~OwnCgroup() {
    if (there_) ::rmdir(path_.c_str());
  }
  OwnCgroup(const OwnCgroup&) = delete;
  OwnCgroup& operator=(const OwnCgroup&) = delete;

  [[nodiscard]] bool there() const {
    if (!there_) MESSAGE("skipped: needs a cgroup (version 2) that may be written");
    return there_;
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  // What runs have left in it.
  [[nodiscard]] int runs() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(path_)) count += int{entry.is_directory()};
    return count;
  }

 private:
  std::string path_;
  bool there_ = false;
};

struct CgroupServer {
  explicit CgroupServer(const OwnCgroup& own, ExecOptions options = {.mode = ExecMode::shell})
      : server([&own, options](Router& router, Loop& loop) mutable {
          options.cgroups = RunCgroups::open(own.path()).value();
          add_exec(router, loop, options);
        }) {}

  LiveServer server;
  PlainClient client{server.port()};

  static Members shell(const std::string& line) {
    return Members().set("cmd", "exec").set("shell", line);
  }
};

// Leaves its group, its session, its parent and its environment.
const std::string kEscape = "env -i setsid -f sleep 1000 >/dev/null 2>&1 <&-; ";

bool is_gone(const std::string& cgroup) {
  for (int i = 0; i < 10'000 && fs::exists(cgroup); ++i) ::usleep(1'000);
  return !fs::exists(cgroup);
}

}  // namespace

TEST_CASE("what is no cgroup is refused with a sentence") {
  const ScratchDirectory scratch;
  CHECK(RunCgroups::open(scratch.string()).error().message.find("cgroup.kill") !=
        std::string::npos);
  CHECK(fs::is_empty(scratch.string()));
  CHECK(RunCgroups::open(scratch / "nowhere").error().code == Errc::failed_precondition);
  CHECK(RunCgroups::open("here").error().message.find("absolute") != std::string::npos);
}

TEST_CASE("a cgroup for runs is one server's at a time, who ends what another has left") {
  const OwnCgroup own;
  if (!own.there()) return;
  std::string left;
  {
    const auto first = RunCgroups::open(own.path()).value();
    CHECK(RunCgroups::open(own.path()).error().message.find("another server") != std::string::npos);
    left = first->make("left").value();
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  std::ofstream(left + "/cgroup.procs") << child;
  const auto second = RunCgroups::open(own.path()).value();
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WTERMSIG(status) == SIGKILL);
  second->clear("left");
  CHECK(own.runs() == 0);
}

TEST_CASE("nothing leaves the cgroup of its run, which goes with it") {
  const OwnCgroup own;
  if (!own.there()) return;
  CgroupServer exec(own);
  std::string line = kEscape + "cat /proc/self/cgroup";
  Members request = CgroupServer::shell(line);
  SUBCASE("a run that ended by itself") {}
  SUBCASE("a run that was ended") {
    request = CgroupServer::shell(line + "; exec sleep 1000").set("timeout_ms", 300);
  }
  const Frame reply = exec.client.ask(request);
  const std::size_t name = reply.body.find("/run-");
  REQUIRE(name != std::string::npos);
  CHECK(is_gone(own.path() + reply.body.substr(name, 37)));
  CHECK(own.runs() == 0);
}

TEST_CASE("a program in a cgroup is started as any other, or not at all") {
  const OwnCgroup own;
  if (!own.there()) return;
  CgroupServer exec(own);
  const auto argv = [&exec](std::vector<std::string> words) {
    return exec.client.ask(Members().set("cmd", "exec").set("argv", words));
  };
  CHECK(argv({"echo", "a b", "$(c)", "-n"}).body == "a b $(c) -n\n");
  CHECK(argv({"sh", "-c", "exit 7"}).number("exit_code") == 7);
  CHECK(argv({"sh", "-c", "kill -SEGV $$"}).number("signal") == SIGSEGV);
  CHECK(argv({"no-such-program"}).text("code") == "not_found");
  CHECK(argv({"/nowhere/program"}).text("code") == "not_found");
  CHECK(argv({"/etc/passwd"}).text("code") == "permission_denied");
  CHECK(argv({"/etc"}).text("code") == "permission_denied");
}

TEST_CASE("a server that goes takes with it what its runs have started") {
  const OwnCgroup own;
  if (!own.there()) return;
  std::string cgroup;
  {
    CgroupServer exec(own);
    exec.client.send(
        CgroupServer::shell(kEscape + "cat /proc/self/cgroup; exec sleep 1000").set("id", 1));
    const std::string body = exec.client.read().body;
    cgroup = own.path() + body.substr(body.find("/run-"), 37);
    CHECK(fs::exists(cgroup));
  }
  CHECK_FALSE(fs::exists(cgroup));
}
