// SPDX-License-Identifier: MIT
#include "cleave/core/children.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

namespace cleave {
inline namespace v0 {
namespace {

// A descriptor that becomes readable when the child ends; none where the system has no such thing.
Fd open_pidfd([[maybe_unused]] pid_t pid) noexcept {
#ifdef SYS_pidfd_open
  return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
#else
  return Fd();
#endif
}

// How a child has ended; empty while it runs. It stays unreaped.
std::optional<ProcessExit> look(pid_t pid) noexcept {
  siginfo_t info{};
  int status = 0;
  do {
    status = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT);
  } while (status < 0 && errno == EINTR);
  // Somebody else has reaped it, or the program ignores SIGCHLD: how it ended is lost.
  if (status < 0) return ProcessExit{};
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return ProcessExit{.code = info.si_status};
  return ProcessExit{.signal = info.si_status, .core = info.si_code == CLD_DUMPED};
}

// True when the child has been reaped, or there is nothing to reap any more.
bool reap(pid_t pid, int options) noexcept {
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(pid, nullptr, options);
  } while (reaped < 0 && errno == EINTR);
  return reaped != 0;
}

}  // namespace

Children::Children(Loop& loop) : loop_(loop), first_look_(loop, [this] { look_at_all(); }) {}

Children::~Children() {
  for (const auto& [pid, child] : children_) {
    assert(child.let_go && "a Process has outlived its loop");
    // One that we may not kill (it has become another user's) is not waited for.
    const bool killed = ::kill(pid, SIGKILL) == 0;
    reap(pid, killed ? 0 : WNOHANG);
  }
}

Result<> Children::add(pid_t pid, UniqueFunction<void(ProcessExit)> on_exit) {
  Child& child = children_[pid];
  child.on_exit = std::move(on_exit);
  ++running_;
  if (pidfds_ && watch_pidfd(pid, child)) return {};
  auto watched = watch_sigchld();
  if (!watched) {
    count_end(child);
    children_.erase(pid);
  }
  return watched;
}

bool Children::watch_pidfd(pid_t pid, Child& child) {
  child.pidfd = open_pidfd(pid);
  if (!child.pidfd) return false;
  auto watcher =
      Watcher::create(loop_, child.pidfd.get(), [this, pid](Watcher::Events) { look_at(pid); });
  if (!watcher) return false;
  child.pidfd_watcher = std::move(*watcher);
  child.pidfd_watcher->watch({.readable = true});
  return true;
}

Result<> Children::watch_sigchld() {
  if (!sigchld_.has_value()) {
    auto watcher = SignalWatcher::create(loop_, SIGCHLD, [this] { look_at_all(); });
    if (!watcher) return fail(std::move(watcher.error()));
    sigchld_ = std::move(*watcher);
  }
  first_look_.start(Millis(0));
  return {};
}

bool Children::ended(pid_t pid) const {
  return children_.at(pid).ended;
}

void Children::let_go(pid_t pid) {
  Child& child = children_.at(pid);
  child.let_go = true;
  child.on_exit.reset();
  if (!reap(pid, WNOHANG)) return;
  count_end(child);
  children_.erase(pid);
}

void Children::look_at(pid_t pid) {
  const auto found = children_.find(pid);
  if (found == children_.end() || found->second.ended) return;
  Child& child = found->second;
  const std::optional<ProcessExit> exit = look(pid);
  if (!exit.has_value()) return;
  count_end(child);
  if (child.let_go) {
    reap(pid, WNOHANG);
    children_.erase(found);
    return;
  }
  // Held here, as the call may let go of the child.
  UniqueFunction<void(ProcessExit)> on_exit = std::move(child.on_exit);
  if (on_exit) on_exit(*exit);
}

void Children::look_at_all() {
  std::vector<pid_t> pids;  // a call may add children and take some away
  for (const auto& [pid, child] : children_) pids.push_back(pid);
  for (const pid_t pid : pids) look_at(pid);
}

void Children::count_end(Child& child) {
  if (std::exchange(child.ended, true)) return;
  child.pidfd_watcher.reset();
  child.pidfd.reset();
  if (--running_ == 0) sigchld_.reset();
}

}  // namespace v0
}  // namespace cleave
