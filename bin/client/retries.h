// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/bin/client/transfer.h"
#include "cleave/core/retry.h"

namespace cleave::cli {

// How often, and after which times, a transfer is tried that the user wants so.
[[nodiscard]] RetryOptions retry_options(const TransferOptions& options);

// Says that there will be another try.
void say_retry(Progress& progress, const Error& error, unsigned failures, unsigned retries,
               Millis delay);

// The same for single requests.
class Retries {
 public:
  Retries(Session& session, const Settings& settings, const TransferOptions& options,
          Progress& progress);

  // Says that there will be another try and waits for its time; false where there is to be none.
  [[nodiscard]] bool again(const Error& error);

 private:
  Session& session_;
  const Settings& settings_;
  Progress& progress_;
  RetryOptions options_;
  unsigned failures_ = 0;
};

}  // namespace cleave::cli
