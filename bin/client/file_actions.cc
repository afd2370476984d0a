// SPDX-License-Identifier: MIT
#include "cleave/bin/client/file_actions.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "cleave/bin/client/local_path.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/standard_descriptor.h"
#include "cleave/handlers/file_client.h"

namespace cleave::cli {
namespace {

// Shows how far a transfer is, and says that it is tried again.
class Showing final : public FileObserver {
 public:
  explicit Showing(const Transfer& transfer) : transfer_(transfer) {}
  void on_size(std::uint64_t bytes) override { transfer_.share.expect(bytes); }
  void on_begin(std::uint64_t offset) override {
    transfer_.share.begin_at(offset);
    if (offset > 0 && !transfer_.settings.quiet) {
      transfer_.session.console().say_resumed(transfer_.remote, offset);
    }
  }
  void on_progress(std::uint64_t offset) override { transfer_.share.reach(offset); }
  void on_retry(const Error& error, unsigned failures, Millis delay) override {
    if (transfer_.settings.quiet) return;
    transfer_.session.console().say_retry(
        error, failures, transfer_.settings.retries.value_or(kRetries), delay, transfer_.remote);
  }

 private:
  const Transfer& transfer_;
};

// Runs a transfer to its end. What is there and is to be passed over is no failure.
template <typename Start>
Result<Transferred> run(const Transfer& transfer, Start start) {
  const TransferOptions& wanted = transfer.options;
  Showing showing(transfer);
  FileTransferOptions options;
  options.overwrite = !wanted.no_clobber && !wanted.no_overwrite;
  options.resume = wanted.resume;
  options.timeout = transfer.settings.timeout;
  options.retry = transfer_retries(transfer.settings);
  options.observer = &showing;
  std::optional<Result<FileTransferred>> done;
  FileTransfer running = start(
      std::move(options), [&done](Result<FileTransferred> result) { done = std::move(result); });
  if (!transfer.session.wait_cancellably([&done] { return done.has_value(); },
                                         [&running] { running.cancel(); })) {
    return fail(interrupted_error());
  }
  if (*done) return Transferred{.header = (*done)->header};
  if (wanted.no_clobber && done->error().code == Errc::already_exists) {
    return Transferred{.skipped = true};
  }
  return fail(done->error());
}

}  // namespace

Result<Transferred> store(const Transfer& transfer) {
  return run(transfer, [&](FileTransferOptions options, FileTransfer::Done done) {
    return put_file(transfer.session.client(transfer.settings), transfer.local, transfer.remote,
                    std::move(options), std::move(done));
  });
}

Result<Transferred> fetch(const Transfer& transfer) {
  if (transfer.options.no_clobber && exists(transfer.local)) return Transferred{.skipped = true};
  return run(transfer, [&](FileTransferOptions options, FileTransfer::Done done) {
    return get_file(transfer.session.client(transfer.settings), transfer.remote, transfer.local,
                    std::move(options), std::move(done));
  });
}

Result<Transferred> fetch_to_output(const Transfer& transfer) {
  return run(transfer, [&](FileTransferOptions options, FileTransfer::Done done) {
    return get_file(transfer.session.client(transfer.settings), transfer.remote,
                    standard_descriptor(STDOUT_FILENO), "standard output", std::move(options),
                    std::move(done));
  });
}

}  // namespace cleave::cli
