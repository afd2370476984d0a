// SPDX-License-Identifier: MIT
#pragma once
// Internal: what puts and gets of a client have in common.

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cleave/core/reconnecting_client.h"
#include "cleave/handlers/file_client.h"
#include "cleave/handlers/file_digests.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

// A transfer as a chain of steps, one at a time: a request, work of a worker, or a wait. Each step
// is given what comes next, which is not called any more once the transfer has ended or is
// cancelled.
class FileTransferCore : public RefCounted<FileTransferCore> {
 public:
  FileTransferCore(ReconnectingClient& client, FileTransferOptions options,
                   FileTransfer::Done done);
  virtual ~FileTransferCore() = default;

  // The first attempt, in a later turn.
  void start();
  void cancel();
  // Ends it without a word.
  void abandon();
  [[nodiscard]] bool running() const noexcept { return static_cast<bool>(done_); }

 protected:
  // How a request ended.
  struct Outcome {
    Result<void> result;
    Ref<const Header> header = {};  // of the reply's last frame; null where none came
  };

  // The next attempt begins.
  virtual void attempt() = 0;
  // It has ended: lets go of everything.
  virtual void let_go() = 0;

  // Sends a request whose reply has no body of interest.
  void ask(Call call, UniqueFunction<void(Outcome)> next);
  // Sends one whose reply goes to a handler, which calls `next` in its on_end.
  void send(Call call, std::unique_ptr<ReplyHandler> handler);
  // Ends the request that is under way early, because its result cannot be used.
  void call_off() { sent_.cancel(); }
  // Reads the first `size` bytes.
  void digest(SharedFd file, std::uint64_t size, UniqueFunction<void(Result<FileDigests>)> next);
  // Runs what blocks, and then `next` with its result.
  template <typename Work, typename Next>
  void work(Work work, Next next) {
    client_.loop().offload(std::move(work), then(std::move(next)), Lane::disk);
  }
  // Whether there is to be another attempt after this error; it then comes by itself.
  bool retries(const Error& error);
  void end(Result<FileTransferred> result);

  // `next` as something that is called back.
  template <typename Next>
  auto then(Next next) {
    return [ self = Ref<FileTransferCore>(this), next = std::move(next) ](
        auto&&... values) mutable requires(std::invocable<Next&, decltype(values)...>) {
      if (self->goes_on()) next(std::forward<decltype(values)>(values)...);
    };
  }

  [[nodiscard]] ReconnectingClient& client() noexcept { return client_; }
  [[nodiscard]] const FileTransferOptions& options() const noexcept { return options_; }
  [[nodiscard]] FileObserver& observer() const noexcept { return *options_.observer; }
  // How often it was tried in vain.
  [[nodiscard]] unsigned failures() const noexcept { return failures_; }

  // Whether it is still to go on; one that was cancelled ends here.
  [[nodiscard]] bool goes_on();

 private:
  struct Hashing;
  void add_next(const std::shared_ptr<Hashing>& hashing);

  ReconnectingClient& client_;
  FileTransferOptions options_;
  FileTransfer::Done done_;
  CallHandle sent_;
  Timer pause_;
  unsigned failures_ = 0;
  bool cancelled_ = false;
};

// Makes the handles.
struct FileTransfers {
  [[nodiscard]] static FileTransfer start(Ref<FileTransferCore> core);
};

}  // namespace v0
}  // namespace cleave
