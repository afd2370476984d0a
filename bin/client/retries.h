// SPDX-License-Identifier: MIT
#pragma once

#include <random>

#include "cleave/bin/client/transfer.h"

namespace cleave::cli {

// Which failures are worth another try (those of exit status 5: the network, and a server that
// cannot just now), and how long to wait before it. The time doubles from try to try up to a limit,
// and chance takes off up to half of it, so that clients that failed together do not come back
// together.
class Retries {
 public:
  Retries(Session& session, const Settings& settings, const TransferOptions& options,
          Progress& progress)
      : session_(session), settings_(settings), options_(options), progress_(progress) {}
  explicit Retries(const Transfer& transfer)
      : Retries(transfer.session, transfer.settings, transfer.options, transfer.progress) {}

  // Says that there will be another try and waits for its time; false where there is to be none.
  [[nodiscard]] bool again(const Error& error);
  // How often there was another one.
  [[nodiscard]] unsigned count() const noexcept { return count_; }

 private:
  Session& session_;
  const Settings& settings_;
  const TransferOptions& options_;
  Progress& progress_;
  unsigned count_ = 0;
  std::minstd_rand chance_{std::random_device()()};
};

}  // namespace cleave::cli
