// SPDX-License-Identifier: MIT
#include "cleave/handlers/commit_queue.h"

#include <utility>

namespace cleave {
inline namespace v0 {

void CommitQueue::add(std::unique_ptr<Upload> upload, Done done) {
  waiting_.push_back({std::move(upload), std::move(done)});
  if (!running_) commit();
}

void CommitQueue::commit() {
  running_ = true;
  auto batch = std::make_shared<std::vector<Item>>(std::exchange(waiting_, {}));
  loop_.offload(
      [batch] {
        std::vector<Upload*> uploads;
        for (const Item& item : *batch) uploads.push_back(item.upload.get());
        std::vector<Result<StoredFile>> results = Upload::commit(uploads);
        // Here, as removing what has failed takes its time.
        for (Item& item : *batch) item.upload.reset();
        return results;
      },
      [self = shared_from_this(), batch](std::vector<Result<StoredFile>> results) {
        self->running_ = false;
        if (!self->waiting_.empty()) self->commit();
        for (std::size_t at = 0; at < batch->size(); ++at) {
          (*batch)[at].done(std::move(results[at]));
        }
      },
      Lane::disk);
}

}  // namespace v0
}  // namespace cleave
