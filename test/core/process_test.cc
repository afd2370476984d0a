// SPDX-License-Identifier: MIT
#include "cleave/core/process.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/children.h"
#include "cleave/core/loop_internals.h"

using namespace cleave;

namespace {

const std::vector<std::string> kPath{"PATH=/usr/bin:/bin"};

std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  REQUIRE(loop.has_value());
  return std::move(*loop);
}

// Collects what comes out of a descriptor.
class Collected {
 public:
  Collected(Loop& loop, Fd fd) {
    auto reader = PipeReader::create(loop, std::move(fd), [this] { read(); });
    REQUIRE(reader.has_value());
    reader_ = std::move(*reader);
    read();
  }
  const std::string& bytes() const { return bytes_; }
  bool ended() const { return !reader_.has_value(); }
  void stop() { reader_.reset(); }

 private:
  void read() {
    std::array<char, 4'096> space;
    for (;;) {
      const auto count = reader_->read(space);
      if (!count.has_value()) return;
      if (*count == 0) return reader_.reset();
      bytes_.append(space.data(), *count);
    }
  }
  std::optional<PipeReader> reader_;
  std::string bytes_;
};

struct Run {
  ProcessExit exit;
  std::string out;
  std::string err;
};

// Runs a program to its end without input.
Run run(Loop& loop, const ProcessOptions& options) {
  Run result;
  int exits = 0;
  auto process = Process::spawn(loop, options, [&](ProcessExit exit) {
    result.exit = exit;
    ++exits;
  });
  REQUIRE_MESSAGE(process.has_value(), process.error().message);
  (*process)->take_stdin().reset();
  const Collected out(loop, (*process)->take_stdout());
  const Collected err(loop, (*process)->take_stderr());
  loop.run();
  CHECK(exits == 1);
  CHECK(out.ended());
  CHECK(err.ended());
  result.out = out.bytes();
  result.err = err.bytes();
  return result;
}

Run run_shell(Loop& loop, const std::string& line) {
  return run(loop, {.argv = {"sh", "-c", line}, .env = kPath});
}

Error error_of(Loop& loop, const ProcessOptions& options) {
  const auto process = Process::spawn(loop, options, [](ProcessExit) { FAIL("it was started"); });
  REQUIRE_FALSE(process.has_value());
  return process.error();
}

int open_descriptors() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  REQUIRE(directory != nullptr);
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// A folder of its own, removed with what a test has put into it.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/cleave-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(path_.c_str());
  }
  std::string file(const std::string& name, const std::string& text, mode_t mode) {
    const std::string path = path_ + '/' + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    files_.push_back(path);
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

std::unique_ptr<Loop> make_loop_without_pidfds() {
  auto loop = make_loop();
  LoopInternals::get<Children>(*loop).use_sigchld();
  return loop;
}

// In two subcases, so for tests that have none of their own.
std::unique_ptr<Loop> make_loop_of_each_kind() {
  SUBCASE("by SIGCHLD") {
    return make_loop_without_pidfds();
  }
  return make_loop();
}

// A shell that starts two more processes, which hold its output, and then ends or waits for them.
void check_signal_to_group(std::unique_ptr<Loop> loop, bool child_ends_before) {
  std::optional<ProcessExit> exit;
  const std::string line = std::string("sleep 1000 & sleep 1000 & echo ready; ") +
                           (child_ends_before ? "exit 5" : "wait");
  auto process = Process::spawn(*loop, {.argv = {"sh", "-c", line}, .env = kPath},
                                [&](ProcessExit how) { exit = how; });
  REQUIRE(process.has_value());
  const Collected out(*loop, (*process)->take_stdout());
  while (out.bytes() != "ready\n" || exit.has_value() != child_ends_before) {
    REQUIRE(loop->step_waiting());
  }
  CHECK_FALSE(out.ended());
  (*process)->kill_group(SIGKILL);
  loop->run();
  CHECK(out.ended());
  REQUIRE(exit.has_value());
  CHECK((exit->code == (child_ends_before ? std::optional<int>(5) : std::nullopt)));
  CHECK(exit->signal == (child_ends_before ? 0 : SIGKILL));
  const int pid = (*process)->pid();
  CHECK(::getpgid(pid) == pid);  // the number is still the child's, and no stranger's
  (*process)->kill_group(SIGKILL);
  process->reset();
  CHECK(::getpgid(pid) < 0);
  CHECK_FALSE(has_children());
}

void check_destroyed_process(std::unique_ptr<Loop> loop, bool loop_runs_on) {
  bool told = false;
  auto process =
      Process::spawn(*loop, {.argv = {"sh", "-c", "sleep 1000 & echo ready; wait"}, .env = kPath},
                     [&](ProcessExit) { told = true; });
  REQUIRE(process.has_value());
  Collected out(*loop, (*process)->take_stdout());
  while (out.bytes() != "ready\n") REQUIRE(loop->step_waiting());
  process->reset();
  if (loop_runs_on) {
    loop->run();
    CHECK(out.ended());
    CHECK_FALSE(has_children());
  }
  out.stop();
  loop.reset();
  CHECK_FALSE(told);
  CHECK_FALSE(has_children());
}

}  // namespace

TEST_CASE("a program's exit code, or the signal that killed it, is told") {
  auto loop = make_loop_of_each_kind();
  CHECK(run_shell(*loop, "exit 0").exit.code == 0);
  CHECK(run_shell(*loop, "exit 7").exit.code == 7);
  const Run killed = run_shell(*loop, "kill -TERM $$");
  CHECK_FALSE(killed.exit.code.has_value());
  CHECK(killed.exit.signal == SIGTERM);
  CHECK_FALSE(has_children());
}

TEST_CASE("output and error output come apart, and all of it") {
  auto loop = make_loop_of_each_kind();
  const Run small = run_shell(*loop, "echo out; echo err >&2");
  CHECK(small.out == "out\n");
  CHECK(small.err == "err\n");
  const Run large = run_shell(*loop, "head -c 1000000 /dev/zero; exit 3");
  CHECK(large.out.size() == 1'000'000);
  CHECK(large.exit.code == 3);
}

TEST_CASE("what is written to a program's standard input reaches it, and so does its end") {
  auto loop = make_loop();
  auto process = Process::spawn(*loop, {.argv = {"cat"}, .env = kPath}, [](ProcessExit) {});
  REQUIRE(process.has_value());
  const Collected out(*loop, (*process)->take_stdout());
  {
    auto writer = PipeWriter::create(*loop, (*process)->take_stdin(), [] {});
    REQUIRE(writer.has_value());
    CHECK(writer->write("through a cat").outcome == PipeWriter::Outcome::done);
  }
  loop->run();
  CHECK(out.bytes() == "through a cat");
}

TEST_CASE("a child's standard descriptors are blocking, as programs expect them") {
  auto loop = make_loop();
  const Run flags = run_shell(*loop, "grep flags /proc/self/fdinfo/[012]");
  CHECK(flags.out.find("flags:\t00\n") != std::string::npos);
  CHECK(flags.out.find("flags:\t01\n") != std::string::npos);
  CHECK(flags.out.find("4000") == std::string::npos);
}

TEST_CASE("the environment and the directory are exactly those given") {
  auto loop = make_loop();
  CHECK(run(*loop, {.argv = {"/usr/bin/env"}, .env = {"A=1", "B=two words"}}).out ==
        "A=1\nB=two words\n");
  CHECK(run(*loop, {.argv = {"/usr/bin/env"}}).out.empty());
  CHECK(run(*loop, {.argv = {"pwd", "-P"}, .env = kPath, .cwd = "/usr/lib"}).out == "/usr/lib\n");
}

TEST_CASE("nothing but the standard descriptors is open in a child") {
  auto loop = make_loop();
  const Fd inherited(::open("/dev/null", O_RDONLY));  // not close-on-exec, as by a careless library
  REQUIRE(inherited);
  // The fourth is the folder that ls itself reads.
  CHECK(run(*loop, {.argv = {"ls", "/proc/self/fd"}, .env = kPath}).out == "0\n1\n2\n3\n");
}

TEST_CASE("a child starts with no signal blocked or ignored, in a session of its own") {
  struct sigaction before {};
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGUSR2, &ignore, &before);
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, nullptr);
  auto loop = make_loop();
  std::string status;
  loop->post([&] {
    // From inside a turn, where SIGPIPE is blocked.
    auto process =
        Process::spawn(*loop, {.argv = {"sleep", "1000"}, .env = kPath}, [](ProcessExit) {});
    REQUIRE(process.has_value());
    const std::string folder = "/proc/" + std::to_string((*process)->pid());
    std::ifstream file(folder + "/status");
    status.assign(std::istreambuf_iterator<char>(file), {});
    CHECK(::getsid((*process)->pid()) == (*process)->pid());
    CHECK(::getpgid((*process)->pid()) == (*process)->pid());
  });
  loop->run();
  pthread_sigmask(SIG_UNBLOCK, &usr1, nullptr);
  ::sigaction(SIGUSR2, &before, nullptr);
  const auto mask = [&status](const std::string& name) {
    const std::size_t at = status.find(name);
    REQUIRE(at != std::string::npos);
    return std::stoull(status.substr(at + name.size()), nullptr, 16);
  };
  CHECK(mask("SigBlk:") == 0);
  // glibc's spawn ignores the two signals that glibc keeps for itself, 32 and 33.
  CHECK((mask("SigIgn:") & ~0x1'8000'0000ULL) == 0);
}

TEST_CASE("a program is looked up in the PATH that the child gets, not in ours") {
  auto loop = make_loop();
  Folder folder;
  folder.file("cleave-tool", "#!/bin/sh\necho found $1\n", 0755);
  folder.file("cleave-data", "#!/bin/sh\n", 0644);
  Folder other;
  other.file("cleave-tool", "not for running", 0644);
  const auto with_path = [](const std::string& name, const std::string& path) {
    return ProcessOptions{.argv = {name, "it"}, .env = {"PATH=" + path}};
  };
  CHECK(run(*loop, with_path("cleave-tool", folder.path())).out == "found it\n");
  CHECK(
      run(*loop, with_path("cleave-tool", "/nowhere:" + other.path() + ":" + folder.path())).out ==
      "found it\n");
  CHECK(run(*loop, {.argv = {"cleave-tool", "it"}, .env = {"PATH=."}, .cwd = folder.path()}).out ==
        "found it\n");
  CHECK(run(*loop, {.argv = {"./cleave-tool", "it"}, .cwd = folder.path()}).out == "found it\n");
  CHECK(error_of(*loop, with_path("cleave-tool", "/nowhere")).code == Errc::not_found);
  CHECK(error_of(*loop, with_path("cleave-data", folder.path())).code == Errc::permission_denied);
}

TEST_CASE("a program that cannot be started is an error that says why, and leaves nothing") {
  auto loop = make_loop();
  Folder folder;
  const std::string no_program = folder.file("text", "neither script nor program", 0755);
  const int descriptors = open_descriptors();
  CHECK(error_of(*loop, {.argv = {"cleave-no-such-program"}, .env = kPath}) ==
        Error{Errc::not_found,
              "'cleave-no-such-program' cannot be started: No such file or directory"});
  CHECK(error_of(*loop, {.argv = {"/nowhere/at/all"}}).code == Errc::not_found);
  CHECK(error_of(*loop, {.argv = {""}, .env = kPath}).code == Errc::not_found);
  CHECK(
      error_of(*loop, {.argv = {no_program}}) ==
      Error{Errc::permission_denied, "'" + no_program + "' cannot be started: Exec format error"});
  CHECK(error_of(*loop, {.argv = {folder.path()}}).code == Errc::permission_denied);
  CHECK(error_of(*loop, {.argv = {"true"}, .env = kPath, .cwd = "/nowhere"}) ==
        Error{Errc::not_found,
              "the directory '/nowhere' cannot be entered: No such file or directory"});
  CHECK(error_of(*loop, {.argv = {"true"}, .env = kPath, .cwd = no_program}).code ==
        Errc::not_found);
  CHECK(error_of(*loop, {.argv = {}}).code == Errc::invalid_argument);
  CHECK(error_of(*loop, {.argv = {"true", std::string("a\0b", 3)}, .env = kPath}).code ==
        Errc::invalid_argument);
  CHECK(error_of(*loop, {.argv = {"true", std::string(1'000'000, 'x')}, .env = kPath}).code ==
        Errc::too_large);
  CHECK(open_descriptors() == descriptors);
  CHECK_FALSE(has_children());
  CHECK_FALSE(loop->step());
}

TEST_CASE("a signal to the group reaches grandchildren, also after the child has ended") {
  SUBCASE("while it runs") {
    check_signal_to_group(make_loop(), false);
  }
  SUBCASE("while it runs, by SIGCHLD") {
    check_signal_to_group(make_loop_without_pidfds(), false);
  }
  SUBCASE("after it") {
    check_signal_to_group(make_loop(), true);
  }
  SUBCASE("after it, by SIGCHLD") {
    check_signal_to_group(make_loop_without_pidfds(), true);
  }
}

TEST_CASE("destroying a process kills its group and reaps it, in the loop or with it") {
  SUBCASE("in the loop") {
    check_destroyed_process(make_loop(), true);
  }
  SUBCASE("in the loop, by SIGCHLD") {
    check_destroyed_process(make_loop_without_pidfds(), true);
  }
  SUBCASE("with it") {
    check_destroyed_process(make_loop(), false);
  }
  SUBCASE("with it, by SIGCHLD") {
    check_destroyed_process(make_loop_without_pidfds(), false);
  }
}

TEST_CASE("a loop that is destroyed leaves no zombie of a process that was") {
  {
    auto loop = make_loop_of_each_kind();
    for (int i = 0; i < 10; ++i) {
      CHECK(Process::spawn(*loop, {.argv = {"sleep", "1000"}, .env = kPath}, [](ProcessExit) {
            }).has_value());
    }
  }
  CHECK_FALSE(has_children());
}

TEST_CASE("a process may be destroyed inside its own exit call") {
  auto loop = make_loop_of_each_kind();
  std::unique_ptr<Process> process;
  auto held = std::make_shared<int>(0);
  auto made =
      Process::spawn(*loop, {.argv = {"true"}, .env = kPath}, [&process, held](ProcessExit) {
        process.reset();
        ++*held;
      });
  REQUIRE(made.has_value());
  process = std::move(*made);
  loop->run();
  CHECK(*held == 1);
  CHECK(held.use_count() == 1);
  CHECK_FALSE(has_children());
}

TEST_CASE("others' children in the same process are left alone") {
  auto loop = make_loop_of_each_kind();
  const pid_t theirs = ::fork();
  if (theirs == 0) ::_exit(9);
  CHECK(run_shell(*loop, "exit 1").exit.code == 1);
  int status = 0;
  REQUIRE(::waitpid(theirs, &status, 0) == theirs);
  CHECK(WEXITSTATUS(status) == 9);
}

TEST_CASE("where something else has reaped the child, its end is told without a code") {
  auto loop = make_loop_of_each_kind();
  std::optional<ProcessExit> exit;
  auto process =
      Process::spawn(*loop, {.argv = {"true"}, .env = kPath}, [&](ProcessExit how) { exit = how; });
  REQUIRE(process.has_value());
  REQUIRE(::waitpid((*process)->pid(), nullptr, 0) == (*process)->pid());
  loop->run();
  REQUIRE(exit.has_value());
  CHECK_FALSE(exit->code.has_value());
  CHECK(exit->signal == 0);
}

TEST_CASE("children are started also where the program has closed its standard descriptors") {
  // In a process of its own, as the test needs its descriptors.
  const pid_t child = ::fork();
  if (child == 0) {
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
    auto loop = Loop::create();
    std::string seen;
    auto process =
        Process::spawn(**loop, {.argv = {"sh", "-c", "read x; echo $x; echo 2 >&2"}, .env = kPath},
                       [](ProcessExit) {});
    if (!process) ::_exit(1);
    Fd in = (*process)->take_stdin();
    if (::write(in.get(), "1\n", 2) != 2) ::_exit(2);
    const Collected out(**loop, (*process)->take_stdout());
    const Collected err(**loop, (*process)->take_stderr());
    (*loop)->run();
    ::_exit(out.bytes() == "1\n" && err.bytes() == "2\n" ? 42 : 3);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 42);
}

TEST_CASE("a thousand runs, many at once, leave no descriptor and no zombie") {
  auto loop = make_loop_of_each_kind();
  run_shell(*loop, "exit 0");
  const int descriptors = open_descriptors();
  int started = 0;
  int right = 0;
  std::array<std::unique_ptr<Process>, 20> running;
  const auto start = [&](auto& self, std::size_t place) -> void {
    if (started == 1'000) return;
    const int code = started++ % 100;
    auto process =
        Process::spawn(*loop, {.argv = {"sh", "-c", "exit " + std::to_string(code)}, .env = kPath},
                       [&, place, code](ProcessExit exit) {
                         if (exit.code == code) ++right;
                         running[place].reset();
                         self(self, place);
                       });
    REQUIRE(process.has_value());
    running[place] = std::move(*process);
  };
  for (std::size_t place = 0; place < running.size(); ++place) start(start, place);
  loop->run();
  CHECK(right == 1'000);
  CHECK(open_descriptors() == descriptors);
  CHECK_FALSE(has_children());
}
