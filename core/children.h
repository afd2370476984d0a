// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <optional>

#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/process.h"
#include "cleave/core/unique_function.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Internal. The child processes of one loop (by LoopInternals::get): tells when each has ended, and
// reaps it when its owner has let go of it.
//
// A child that has ended stays unreaped until then. That keeps its number, which is its group's
// too, from being given to a stranger, who would get the signals meant for the group.
//
// The end is seen by a pidfd, where there is one: then only the child concerned is looked at.
// Otherwise, and when no descriptor is left for it, by SIGCHLD, at which every child of this loop
// is looked at. Only children that were added are ever waited for, so that others' children in the
// same process are left alone.
class Children {
 public:
  explicit Children(Loop& loop);
  // Waits for those that have been let go and not ended yet; they have been killed.
  ~Children();

  // Looks after a child; `on_exit` is called once, when it has ended, in a later turn.
  [[nodiscard]] Result<> add(pid_t pid, UniqueFunction<void(ProcessExit)> on_exit);
  // True when `on_exit` has been called, or is being called.
  [[nodiscard]] bool ended(pid_t pid) const;
  // Lets go of a child: reaps it, now or as soon as it ends. `on_exit` is not called any more.
  void let_go(pid_t pid);

  // From now on as if there were no pidfds: for tests.
  void use_sigchld() noexcept { pidfds_ = false; }

 private:
  struct Child {
    UniqueFunction<void(ProcessExit)> on_exit;
    bool ended = false;
    bool let_go = false;
    Fd pidfd;
    std::optional<Watcher> pidfd_watcher;
  };

  [[nodiscard]] bool watch_pidfd(pid_t pid, Child& child);
  [[nodiscard]] Result<> watch_sigchld();
  void look_at(pid_t pid);
  void look_at_all();
  void count_end(Child& child);

  Loop& loop_;
  bool pidfds_ = true;
  std::map<pid_t, Child> children_;
  std::size_t running_ = 0;
  std::optional<SignalWatcher> sigchld_;  // only while a child runs: it keeps run() going
  Timer first_look_;                      // for a child that ended before sigchld_ was there
};

}  // namespace v0
}  // namespace cleave
