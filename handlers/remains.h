// SPDX-License-Identifier: MIT
#pragma once
// Internal: the descendants of runs, wherever they went.

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "cleave/core/loop.h"
#include "cleave/handlers/run_cgroups.h"

namespace cleave {
inline namespace v0 {

// The name of the variable that everybody inherits who descends from a run, and has as long as its
// environment is left as it was.
inline constexpr std::string_view kMarkName = "CLEAVE_RUN";

// A value that no other run has, which names its cgroup as well.
[[nodiscard]] Result<std::string> make_mark();

// What is left of runs that are over, and is not to be: killed by their cgroups where there are
// some, else by their marks, which are looked for among all processes whose environment the system
// shows us, again until nobody has one. In the pool, for all runs at once that have ended
// meanwhile.
class Remains {
 public:
  Remains(Loop& loop, std::shared_ptr<const RunCgroups> cgroups)
      : loop_(loop), kept_(std::make_shared<Kept>(Kept{.cgroups = std::move(cgroups)})) {}
  // Sees to those that the pool has not come to.
  ~Remains();
  Remains(const Remains&) = delete;
  Remains& operator=(const Remains&) = delete;

  // Whoever has this mark is killed.
  void clear(const std::string& mark);

 private:
  using Marks = std::set<std::string, std::less<>>;
  struct Kept {
    std::shared_ptr<const RunCgroups> cgroups;
    Marks waiting = {};
    Marks in_work = {};
  };
  static void kill(const RunCgroups* cgroups, const Marks& marks);
  static void begin(Loop& loop, const std::shared_ptr<Kept>& kept);

  Loop& loop_;
  std::shared_ptr<Kept> kept_;
};

}  // namespace v0
}  // namespace cleave
