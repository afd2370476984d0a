// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_transfer.h"

namespace cleave {
inline namespace v0 {
namespace {

FileObserver& nobody() {
  static FileObserver observer;
  return observer;
}

Error cancelled_here() {
  return {Errc::cancelled, "the transfer was cancelled"};
}

}  // namespace

FileTransferCore::FileTransferCore(ReconnectingClient& client, FileTransferOptions options,
                                   FileTransfer::Done done)
    : client_(client),
      options_(std::move(options)),
      done_(std::move(done)),
      pause_(client.loop(), [this] {
        const Ref<FileTransferCore> guard(this);
        if (goes_on()) attempt();
      }) {
  if (!options_.retry.chance) options_.retry.chance = system_chance();
  if (options_.observer == nullptr) options_.observer = &nobody();
}

void FileTransferCore::start() {
  if (!options_.sha256.empty()) {
    auto sha256 = parse_digest(DigestKind::sha256, options_.sha256);
    if (!sha256) {
      return client_.loop().post(
          [self = Ref<FileTransferCore>(this), error = sha256.error()] { self->end(fail(error)); });
    }
    options_.sha256 = *std::move(sha256);
  }
  pause_.start(Millis(0));
}

bool FileTransferCore::goes_on() {
  if (cancelled_) end(fail(cancelled_here()));
  return running();
}

void FileTransferCore::cancel() {
  if (!running() || std::exchange(cancelled_, true)) return;
  sent_.cancel();
  if (pause_.running()) pause_.start(Millis(0));
}

void FileTransferCore::abandon() {
  if (!running()) return;
  const Ref<FileTransferCore> guard(this);
  done_.reset();
  pause_.stop();
  sent_.cancel();
  let_go();
}

void FileTransferCore::end(Result<FileTransferred> result) {
  if (!running()) return;
  const Ref<FileTransferCore> guard(this);
  FileTransfer::Done done = std::move(done_);
  pause_.stop();
  sent_ = {};
  let_go();
  done(std::move(result));
}

void FileTransferCore::ask(Call call, UniqueFunction<void(Outcome)> next) {
  class Asking final : public ReplyHandler {
   public:
    explicit Asking(UniqueFunction<void(Outcome)> next) : next_(std::move(next)) {}
    void on_body(Chunk /*chunk*/) override {}
    void on_end(Result<void> result, const Header* header) override {
      next_(Outcome{std::move(result), Ref<const Header>(header)});
    }

   private:
    UniqueFunction<void(Outcome)> next_;
  };
  send(std::move(call), std::make_unique<Asking>(then(std::move(next))));
}

void FileTransferCore::send(Call call, std::unique_ptr<ReplyHandler> handler) {
  call.timeout = options_.timeout;
  sent_ = client_.start(std::move(call), std::move(handler));
}

// What a worker and the transfer have in common; the latter may have ended.
struct FileTransferCore::Hashing {
  SharedFd file;
  std::uint64_t size;
  UniqueFunction<void(Result<FileDigests>)> next;
  FileDigests digests;
  std::uint64_t done = 0;
};

void FileTransferCore::digest(SharedFd file, std::uint64_t size,
                              UniqueFunction<void(Result<FileDigests>)> next) {
  auto digests = FileDigests::create(!options_.sha256.empty());
  if (!digests) return next(fail(digests.error()));
  add_next(std::make_shared<Hashing>(
      Hashing{std::move(file), size, std::move(next), *std::move(digests)}));
}

void FileTransferCore::add_next(const std::shared_ptr<Hashing>& hashing) {
  if (hashing->done == hashing->size) return hashing->next(std::move(hashing->digests));
  work(
      [hashing] {
        return add_some(hashing->digests, *hashing->file, hashing->done, hashing->size);
      },
      [this, hashing](Result<std::uint64_t> added) {
        if (!added) return hashing->next(fail(added.error()));
        hashing->done += *added;
        add_next(hashing);
      });
}

bool FileTransferCore::retries(const Error& error) {
  ++failures_;
  if (!may_pass(error.code) || failures_ >= options_.retry.attempts) return false;
  const Millis delay = retry_delay(options_.retry, failures_);
  observer().on_retry(error, failures_, delay);
  pause_.start(delay);
  return true;
}

// ---- FileTransfer -------------------------------------------------------------------------------

FileTransfer FileTransfers::start(Ref<FileTransferCore> core) {
  core->start();
  return FileTransfer(std::move(core));
}

FileTransfer::FileTransfer() noexcept = default;
FileTransfer::FileTransfer(Ref<FileTransferCore> core) noexcept : core_(std::move(core)) {}
FileTransfer::FileTransfer(FileTransfer&&) noexcept = default;
FileTransfer& FileTransfer::operator=(FileTransfer&& other) noexcept {
  if (this == &other) return *this;
  if (core_) core_->abandon();
  core_ = std::move(other.core_);
  return *this;
}
FileTransfer::~FileTransfer() {
  if (core_) core_->abandon();
}

void FileTransfer::cancel() {
  if (core_) core_->cancel();
}
bool FileTransfer::running() const noexcept {
  return core_ && core_->running();
}

// ---- Without a loop -----------------------------------------------------------------------------

namespace {

template <typename Start>
Result<FileTransferred> wait_for(BlockingClient& client, Start start) {
  std::optional<Result<FileTransferred>> done;
  const FileTransfer transfer =
      start([&done](Result<FileTransferred> result) { done = std::move(result); });
  client.wait_until([&done] { return done.has_value(); });
  return std::move(*done);
}

}  // namespace

Result<FileTransferred> put_file(BlockingClient& client, LocalFile from, std::string name,
                                 FileTransferOptions options) {
  return wait_for(client, [&](FileTransfer::Done done) {
    return put_file(client.client(), std::move(from), std::move(name), std::move(options),
                    std::move(done));
  });
}

Result<FileTransferred> get_file(BlockingClient& client, std::string name, LocalFile to,
                                 FileTransferOptions options) {
  return wait_for(client, [&](FileTransfer::Done done) {
    return get_file(client.client(), std::move(name), std::move(to), std::move(options),
                    std::move(done));
  });
}

}  // namespace v0
}  // namespace cleave
