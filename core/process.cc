// SPDX-License-Identifier: MIT
#include "cleave/core/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "cleave/core/children.h"
#include "cleave/core/loop_internals.h"

namespace cleave {
inline namespace v0 {
namespace {

std::string system_text(int error) {
  return std::generic_category().message(error);
}

tl::unexpected<Error> cannot_start(const std::string& program, int error) {
  Errc code = Errc::io_error;
  if (error == ENOENT || error == ENOTDIR) code = Errc::not_found;
  if (error == EACCES || error == ENOEXEC) code = Errc::permission_denied;
  if (error == E2BIG) code = Errc::too_large;
  return fail(code, "'" + program + "' cannot be started: " + system_text(error));
}

// A zero byte would cut a string short without a word, behind the back of whoever has checked it.
bool has_zero_byte(const ProcessOptions& options) {
  const auto has = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  for (const std::string& text : options.argv) {
    if (has(text)) return true;
  }
  for (const std::string& text : options.env) {
    if (has(text)) return true;
  }
  return has(options.cwd) || has(options.cgroup);
}

std::string_view search_path(const ProcessOptions& options) {
  constexpr std::string_view kName = "PATH=";
  for (const std::string_view entry : options.env) {
    if (entry.starts_with(kName)) return entry.substr(kName.size());
  }
  return "/usr/bin:/bin";
}

// The file of a program, by the rules of execvp(3) but with the child's PATH and directory, which
// posix_spawnp(3) does not look at. Sets `error` where there is none.
std::string find_program(const ProcessOptions& options, int& error) {
  const std::string& name = options.argv.front();
  error = 0;
  if (name.find('/') != std::string::npos) return name;
  error = ENOENT;
  if (name.empty()) return {};
  std::string_view rest = search_path(options);
  for (bool last = false; !last;) {
    const std::size_t colon = rest.find(':');
    last = colon == std::string_view::npos;
    std::string file(rest.substr(0, colon));
    if (!last) rest.remove_prefix(colon + 1);
    if (file.empty()) file = ".";
    file += '/' + name;
    const bool relative = file.front() != '/' && !options.cwd.empty();
    const std::string seen_from_here = relative ? options.cwd + '/' + file : file;
    struct stat status {};
    if (::stat(seen_from_here.c_str(), &status) != 0) continue;
    if (S_ISREG(status.st_mode) &&
        ::faccessat(AT_FDCWD, seen_from_here.c_str(), X_OK, AT_EACCESS) == 0) {
      error = 0;
      return file;
    }
    error = EACCES;  // unless a later one will do
  }
  return {};
}

// What a shell can only say by an exit status.
int check_program(const std::string& file, const std::string& cwd) {
  const std::string seen_from_here = file.front() == '/' || cwd.empty() ? file : cwd + '/' + file;
  struct stat status {};
  if (::stat(seen_from_here.c_str(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return ::faccessat(AT_FDCWD, seen_from_here.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

// posix_spawn(3) cannot start a child in a cgroup, and one that is moved there afterwards may have
// children that are not.
std::vector<std::string> begin_in_cgroup(const std::string& cgroup, const std::string& file,
                                         const std::vector<std::string>& argv) {
  std::vector<std::string> words = {"/bin/sh", "-c", R"(echo 0 >"$0" || kill -KILL $$; exec "$@")",
                                    cgroup + "/cgroup.procs", file};
  words.insert(words.end(), argv.begin() + 1, argv.end());
  return words;
}

struct Pipe {
  Fd ours;
  Fd childs;
};

// A pipe into the child (its end is for reading) or out of it. Its end gets a number above the
// standard ones, where it cannot be in the way of putting the others into their places.
Result<Pipe> open_pipe(bool into_child) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail(Errc::io_error, "no pipe can be opened: " + system_text(errno));
  }
  Pipe pipe{.ours = Fd(ends[into_child ? 1 : 0]), .childs = Fd(ends[into_child ? 0 : 1])};
  if (pipe.childs.get() <= STDERR_FILENO) {
    pipe.childs = Fd(::fcntl(pipe.childs.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!pipe.childs) return fail(Errc::io_error, "no pipe can be opened: " + system_text(errno));
  }
  // Of our end alone: the two ends do not share their flags.
  ::fcntl(pipe.ours.get(), F_SETFL, ::fcntl(pipe.ours.get(), F_GETFL) | O_NONBLOCK);
  return pipe;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  // posix_spawn(3) takes them as non-const for reasons of age; it does not write to them.
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// What posix_spawn(3) is to do in the child.
class SpawnPlan {
 public:
  SpawnPlan() noexcept {
    posix_spawnattr_init(&attributes_);
    posix_spawn_file_actions_init(&actions_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  void enter(const std::string& directory) {
    posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
  }
  void place(const Fd& from, int to) {
    posix_spawn_file_actions_adddup2(&actions_, from.get(), to);
  }
  // Ours are close-on-exec; those that the program has inherited, or a library has opened without
  // care, may not be.
  void close_the_rest() { posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1); }

  // An errno, or 0.
  [[nodiscard]] int spawn(const std::string& file, const std::vector<std::string>& words,
                          const std::vector<std::string>& variables, pid_t& pid) {
    const std::vector<char*> argv = pointers(words);
    const std::vector<char*> env = pointers(variables);
    // A program that was written a moment ago is "busy" as long as a child that another thread has
    // just forked holds the descriptor that it was written by: for a millisecond or so.
    int error = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {
      error = posix_spawn(&pid, file.c_str(), &actions_, &attributes_, argv.data(), env.data());
      if (error != ETXTBSY) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return error;
  }

 private:
  posix_spawnattr_t attributes_{};
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

Result<StartedProcess> StartedProcess::start(const ProcessOptions& options) {
  if (options.argv.empty()) return fail(Errc::invalid_argument, "there is no program to start");
  if (has_zero_byte(options)) {
    return fail(Errc::invalid_argument,
                "a program's arguments, environment and directory cannot hold a zero byte");
  }
  // Looked at here because afterwards a missing directory looks like a missing program. What is no
  // directory has nothing inside.
  const std::string inside = options.cwd + "/.";
  if (!options.cwd.empty() && ::faccessat(AT_FDCWD, inside.c_str(), X_OK, AT_EACCESS) != 0) {
    const int error = errno;
    return fail(error == EACCES ? Errc::permission_denied : Errc::not_found,
                "the directory '" + options.cwd + "' cannot be entered: " + system_text(error));
  }
  int error = 0;
  std::string file = find_program(options, error);
  std::vector<std::string> argv = options.argv;
  if (error == 0 && !options.cgroup.empty()) {
    error = check_program(file, options.cwd);
    argv = begin_in_cgroup(options.cgroup, file, argv);
    file = argv.front();
  }
  if (error != 0) return cannot_start(options.argv.front(), error);

  auto in = open_pipe(true);
  if (!in) return fail(std::move(in.error()));
  auto out = open_pipe(false);
  if (!out) return fail(std::move(out.error()));
  auto err = open_pipe(false);
  if (!err) return fail(std::move(err.error()));

  SpawnPlan plan;
  if (!options.cwd.empty()) plan.enter(options.cwd);
  plan.place(in->childs, STDIN_FILENO);
  plan.place(out->childs, STDOUT_FILENO);
  plan.place(err->childs, STDERR_FILENO);
  plan.close_the_rest();
  pid_t pid = 0;
  error = plan.spawn(file, argv, options.env, pid);
  if (error != 0) return cannot_start(options.argv.front(), error);
  return StartedProcess(pid, std::move(in->ours), std::move(out->ours), std::move(err->ours));
}

StartedProcess::~StartedProcess() {
  if (pid_ == 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

struct Process::State {
  Children& children;
  pid_t pid;
  Fd in;
  Fd out;
  Fd err;
};

Result<std::unique_ptr<Process>> Process::spawn(Loop& loop, const ProcessOptions& options,
                                                UniqueFunction<void(ProcessExit)> on_exit) {
  Result<StartedProcess> started = StartedProcess::start(options);
  if (!started) return fail(std::move(started.error()));
  return adopt(loop, *std::move(started), std::move(on_exit));
}

Result<std::unique_ptr<Process>> Process::adopt(Loop& loop, StartedProcess started,
                                                UniqueFunction<void(ProcessExit)> on_exit) {
  Children& children = LoopInternals::get<Children>(loop);
  const auto added = children.add(started.pid_, std::move(on_exit));
  if (!added) return fail(added.error());
  return std::unique_ptr<Process>(new Process(std::make_unique<State>(
      State{children, std::exchange(started.pid_, 0), std::move(started.in_),
            std::move(started.out_), std::move(started.err_)})));
}

Process::Process(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

Process::~Process() {
  if (!state_->children.ended(state_->pid)) kill_group(SIGKILL);
  state_->children.let_go(state_->pid);
}

int Process::pid() const noexcept {
  return state_->pid;
}
Fd Process::take_stdin() noexcept {
  return std::move(state_->in);
}
Fd Process::take_stdout() noexcept {
  return std::move(state_->out);
}
Fd Process::take_stderr() noexcept {
  return std::move(state_->err);
}
void Process::kill_group(int signal) noexcept {
  ::kill(-state_->pid, signal);
}

}  // namespace v0
}  // namespace cleave
