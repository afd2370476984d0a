// SPDX-License-Identifier: MIT
#include "cleave/bin/client/retries.h"

#include <utility>
#include <variant>

#include "cleave/handlers/file_client.h"

namespace cleave::cli {
namespace {

// Its body is none, or bytes.
Call copy_of(const Call& call) {
  Call copy{.cmd = call.cmd, .members = call.members};
  if (const auto* bytes = std::get_if<Buffer>(&call.body)) copy.body = bytes->share();
  return copy;
}

// Says that there will be another try and waits for its time; false where Ctrl-C comes first.
bool wait_for_retry(Session& session, const Settings& settings, const RetryOptions& options,
                    const Error& error, unsigned failures) {
  const Millis delay = retry_delay(options, failures);
  if (!settings.quiet) {
    session.console().say_retry(error, failures, options.attempts - 1, delay);
  }
  bool passed = false;
  Timer timer(session.loop(), [&passed] { passed = true; });
  timer.start(delay);
  return session.wait_interruptibly([&passed] { return passed; });
}

RetryOptions with_retries(RetryOptions options, const Settings& settings) {
  options.attempts = settings.retries.value_or(kRetries) + 1;
  options.chance = system_chance();
  return options;
}

}  // namespace

RetryOptions transfer_retries(const Settings& settings) {
  return with_retries(FileTransferOptions().retry, settings);
}

Outcome run_repeatable(Session& session, const Settings& settings, const Call& call,
                       std::string& body) {
  const RetryOptions options = with_retries({}, settings);
  for (unsigned failures = 1;; ++failures) {
    body.clear();
    Outcome outcome = session.run(settings, copy_of(call), body);
    if (outcome.result || !session.speaks_frames() || failures == options.attempts) return outcome;
    const Error& error = outcome.result.error();
    // Whoever speaks another language will not have learned ours.
    const bool may = may_pass(error.code) && error.code != Errc::protocol_error &&
                     (session.reached() || settings.retries) && !session.interrupted();
    if (!may || !wait_for_retry(session, settings, options, error, failures)) return outcome;
  }
}

}  // namespace cleave::cli
