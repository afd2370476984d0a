// SPDX-License-Identifier: MIT
#pragma once
// Internal: the last step of uploads, taken together.

#include <memory>
#include <vector>

#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/handlers/upload.h"

namespace cleave {
inline namespace v0 {

// A disk takes as long to make one small file durable as to make many so. Therefore one commit is
// under way at a time, and what is ready meanwhile goes into the next one as a whole: whoever comes
// alone waits for nobody, and of many that come together each costs a part. Used on the loop's
// thread, and kept by the work that it has given to the pool.
class CommitQueue : public std::enable_shared_from_this<CommitQueue> {
 public:
  using Done = UniqueFunction<void(Result<StoredFile>)>;

  explicit CommitQueue(Loop& loop) noexcept : loop_(loop) {}

  // Commits a checked upload, which ends with it.
  void add(std::unique_ptr<Upload> upload, Done done);

 private:
  struct Item {
    std::unique_ptr<Upload> upload;
    Done done;
  };
  void commit();

  Loop& loop_;
  std::vector<Item> waiting_;
  bool running_ = false;
};

}  // namespace v0
}  // namespace cleave
