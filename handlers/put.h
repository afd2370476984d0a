// SPDX-License-Identifier: MIT
#pragma once
// Internal: one `put` under way.

#include <memory>

#include "cleave/core/handler.h"
#include "cleave/core/loop.h"
#include "cleave/handlers/commit_queue.h"
#include "cleave/handlers/file_store.h"
#include "cleave/handlers/upload_claims.h"

namespace cleave {
inline namespace v0 {

// What all puts into a store share.
struct PutParts {
  Loop& loop;
  std::shared_ptr<const FileStore> store;
  std::shared_ptr<CommitQueue> commits;
  std::shared_ptr<UploadClaims> claims;
};

// Stores a body and answers. `place` is kept until nothing is open any more.
[[nodiscard]] std::shared_ptr<Handler> make_put(const PutParts& parts, UploadRequest request,
                                                std::shared_ptr<void> place, ReplyToken token);

}  // namespace v0
}  // namespace cleave
