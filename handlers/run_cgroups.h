// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "cleave/core/file.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// A cgroup (version 2) in which every run gets one of its own, which nothing that comes of it can
// leave: `cgroup.kill` ends all of it at once, where signals to a group of processes race with its
// forks and do not reach who has left it.
//
// One server uses it at a time, which is seen to by a lock. Everything blocks, for as long as
// processes take to end; several threads may use one object.
class CLEAVE_API RunCgroups {
 public:
  // `path` is the directory of a cgroup in which this process may make others and move its children
  // there (the user's own, or one that a service manager has delegated). What a server that was
  // killed has left in it is killed and removed. `failed_precondition` where it is no such, or
  // another server's.
  [[nodiscard]] static Result<std::shared_ptr<const RunCgroups>> open(const std::string& path);

  // A new one. The path of its directory.
  [[nodiscard]] Result<std::string> make(const std::string& name) const;
  // Kills all that is in it, and removes it. What the system does not let end within a second stays
  // for the next open().
  void clear(const std::string& name) const;

 private:
  RunCgroups(std::string path, Fd directory) noexcept
      : path_(std::move(path)), directory_(std::move(directory)) {}

  std::string path_;
  Fd directory_;  // locked
};

}  // namespace v0
}  // namespace cleave
