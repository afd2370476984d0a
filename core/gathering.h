// SPDX-License-Identifier: MIT
#pragma once
// Internal: a reply in one piece.

#include <cstdint>
#include <string>

#include "cleave/core/client.h"

namespace cleave {
inline namespace v0 {

// Gathers a reply of up to `limit` bytes, for call() of every kind of client.
class Gathering final : public ReplyHandler {
 public:
  Gathering(std::uint64_t limit, UniqueFunction<void(Result<Answer>)> done)
      : limit_(limit), done_(std::move(done)) {}

  // To end a reply that is too long.
  void set_call(CallHandle call) { call_ = std::move(call); }

  void on_body(Chunk chunk) override;
  bool on_restart() override;
  void on_end(Result<void> outcome, const Header* header) override;

 private:
  std::uint64_t limit_;
  UniqueFunction<void(Result<Answer>)> done_;
  CallHandle call_;
  std::string body_;
  bool too_long_ = false;
};

}  // namespace v0
}  // namespace cleave
