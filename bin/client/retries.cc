// SPDX-License-Identifier: MIT
#include "cleave/bin/client/retries.h"

#include <array>
#include <cstdio>

#include "cleave/bin/client/exit_status.h"
#include "cleave/handlers/file_client.h"

namespace cleave::cli {

RetryOptions retry_options(const TransferOptions& options) {
  RetryOptions retry = FileTransferOptions().retry;
  retry.attempts = options.retries + 1;
  retry.chance = system_chance();
  return retry;
}

void say_retry(Progress& progress, const Error& error, unsigned failures, unsigned retries,
               Millis delay) {
  std::array<char, 64> when{};
  std::snprintf(when.data(), when.size(), "; try %u of %u in %.1f s", failures, retries,
                static_cast<double>(delay.count()) / 1000);
  progress.say(stderr, error_line({error.code, error.message + when.data()}));
}

Retries::Retries(Session& session, const Settings& settings, const TransferOptions& options,
                 Progress& progress)
    : session_(session),
      settings_(settings),
      progress_(progress),
      options_(retry_options(options)) {}

bool Retries::again(const Error& error) {
  ++failures_;
  if (!may_pass(error.code) || failures_ >= options_.attempts) return false;
  if (session_.interrupted()) return false;
  const Millis delay = retry_delay(options_, failures_);
  if (!settings_.quiet) say_retry(progress_, error, failures_, options_.attempts - 1, delay);
  bool passed = false;
  Timer timer(session_.loop(), [&passed] { passed = true; });
  timer.start(delay);
  return session_.wait_interruptibly([&passed] { return passed; });
}

}  // namespace cleave::cli
