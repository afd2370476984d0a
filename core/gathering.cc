// SPDX-License-Identifier: MIT
#include "cleave/core/gathering.h"

#include <utility>

namespace cleave {
inline namespace v0 {

void Gathering::on_body(Chunk chunk) {
  if (too_long_) return;
  too_long_ = body_.size() + chunk.size() > limit_;
  if (too_long_) return call_.cancel();
  body_.append(chunk.bytes());
}

bool Gathering::on_restart() {
  body_.clear();
  return !too_long_;
}

void Gathering::on_end(Result<void> outcome, const Header* header) {
  if (!outcome && !too_long_) return done_(fail(std::move(outcome.error())));
  if (too_long_) {
    return done_(fail(Errc::too_large, "the reply is longer than the " + std::to_string(limit_) +
                                           " bytes that are gathered (collected_reply_bytes)"));
  }
  done_(Answer{Ref<const Header>(header), std::move(body_)});
}

}  // namespace v0
}  // namespace cleave
