// SPDX-License-Identifier: MIT
#include "cleave/handlers/gathered_run.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace cleave {
inline namespace v0 {

GatheredRun::~GatheredRun() {
  if (run_) run_->abandon();
}

void GatheredRun::gather(std::shared_ptr<Run> run) {
  run_ = std::move(run);
  run_->on_change([this] { gather_some(); });
  gather_some();
}

void GatheredRun::on_cancel(CancelReason reason) {
  if (run_) {
    run_->stop(reason);
  } else {
    fail(to_error(reason));
  }
}

void GatheredRun::fail(Error error) {
  answer(Reply::failure(std::move(error)));
}

void GatheredRun::gather_some() {
  for (int i = 0; i < Programs::kReadsATurn; ++i) {
    const Run::Output output = run_->read(Programs::kReadBytes);
    append(outputs_[output.stream], output.bytes);
    if (run_->ended()) {
      return answer(run_->was_started() ? reply(std::move(outputs_))
                                        : Reply::failure(*run_->error()));
    }
    if (output.bytes.empty()) return;
  }
  programs_.loop().post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->gather_some();
  });
}

// All of it is memory until the program has ended, and counts before it is there. Grown in steps,
// as a string that doubles would take twice what it needs.
void GatheredRun::append(std::string& output, std::string_view bytes) {
  constexpr std::size_t kStep = 1024 * 1024;
  if (bytes.empty() || !token_) return;
  if (output.size() + bytes.size() > output.capacity()) {
    const std::size_t more = std::clamp(output.capacity(), bytes.size(), kStep);
    Result<void> held = token_->holds(outputs_[0].capacity() + outputs_[1].capacity() + more);
    if (!held) {
      outputs_ = {};
      return run_->give_up(std::move(held.error()));
    }
    std::string grown;  // reserve() of the old one would double it all the same
    grown.reserve(output.capacity() + more);
    output = std::move(grown.append(output));
  }
  output.append(bytes);
}

void GatheredRun::answer(Reply reply) {
  if (!token_) return;
  // The answer may destroy this object.
  ReplyToken token = std::move(*token_);
  token_.reset();
  std::move(token).send(std::move(reply));
}

}  // namespace v0
}  // namespace cleave
