// SPDX-License-Identifier: MIT
#pragma once
// Internal: a program whose output is held until it has ended.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/handler.h"
#include "cleave/handlers/run.h"

namespace cleave {
inline namespace v0 {

// For replies that name their size first. Gathers both outputs of a run, which is given up with the
// error `overloaded` when the server has no memory for more, and answers when it has ended. Kept by
// shared pointers.
class GatheredRun : public Handler, public std::enable_shared_from_this<GatheredRun> {
 public:
  GatheredRun(Programs& programs, ReplyToken token)
      : programs_(programs), token_(std::move(token)) {}
  ~GatheredRun() override;

  // Begins; called once.
  void gather(std::shared_ptr<Run> run);
  void on_cancel(CancelReason reason) override;

 protected:
  using Outputs = std::array<std::string, 2>;  // standard output, standard error

  // The answer, made when the run has ended.
  virtual Reply reply(Outputs outputs) = 0;
  [[nodiscard]] Programs& programs() noexcept { return programs_; }
  // After gather().
  [[nodiscard]] Run& run() noexcept { return *run_; }
  // Answers without a run.
  void fail(Error error);

 private:
  void gather_some();
  void append(std::string& output, std::string_view bytes);
  void answer(Reply reply);

  Programs& programs_;
  std::optional<ReplyToken> token_;
  std::shared_ptr<Run> run_;
  Outputs outputs_;
};

}  // namespace v0
}  // namespace cleave
