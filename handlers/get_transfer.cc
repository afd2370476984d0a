// SPDX-License-Identifier: MIT
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cleave/handlers/download.h"
#include "cleave/handlers/file_source.h"
#include "cleave/handlers/file_transfer.h"
#include "cleave/handlers/file_writer.h"
#include "cleave/handlers/remote_file.h"

namespace cleave {
inline namespace v0 {
namespace {

// How often a file is begun that becomes another one while it is fetched.
constexpr int kBeginnings = 4;
constexpr auto kLargestFile = std::numeric_limits<std::int64_t>::max();

class GetTransfer final : public FileTransferCore {
 public:
  GetTransfer(ReconnectingClient& client, std::string name, LocalFile to,
              FileTransferOptions options, FileTransfer::Done done)
      : FileTransferCore(client, std::move(options), std::move(done)),
        name_(std::move(name)),
        to_(std::move(to)) {}
  GetTransfer(ReconnectingClient& client, std::string name, SharedFd output, std::string called,
              FileTransferOptions options, FileTransfer::Done done)
      : FileTransferCore(client, std::move(options), std::move(done)),
        name_(std::move(name)),
        to_(std::move(called)),
        output_(std::move(output)) {}

 private:
  class Receiving;
  struct Begun {
    std::shared_ptr<Download> download;
    std::uint64_t there;  // of the bytes that are asked for
  };

  void attempt() override {
    of_no_use_ = false;
    if (writer_) return fetch();
    if (output_ || !options().resume) return begin();
    ask({.cmd = "stat", .members = Members().set("filename", name_)}, [this](const Outcome& known) {
      if (!known.result) return failed(known.result.error());
      remote_ = RemoteFile::of(*known.header);
      if (!remote_ || !remote_->xxh3) return begin();
      compare_target(known.header);
    });
  }

  void let_go() override {
    writer_.reset();
    download_.reset();
  }

  // An attempt has failed.
  void failed(const Error& error) {
    if (of_no_use_ && beginnings_ < kBeginnings && forget()) {
      ++beginnings_;
      return attempt();
    }
    if (of_no_use_ || !retries(error)) end(fail(error));
  }

  // Nothing is to be done where the target is the same already.
  void compare_target(const Ref<const Header>& known) {
    work([to = to_, &loop = client().loop()] { return FileSource::open(loop, to); },
         [this, known](const Result<std::shared_ptr<FileSource>>& target) {
           if (!target || (*target)->file_size() != remote_->size) return begin();
           digest((*target)->fd(), remote_->size, [this, known](Result<FileDigests> digests) {
             if (!digests) return failed(digests.error());
             std::string xxh3 = digests->xxh3.finish();
             const bool same = xxh3 == *remote_->xxh3 &&
                               (!digests->sha256 || digests->sha256->finish() == options().sha256);
             if (!same) return begin();
             end(FileTransferred{.size = remote_->size, .xxh3 = std::move(xxh3), .header = known});
           });
         });
  }

  void begin() {
    if (output_) return write_to(output_, to_.path());
    work(
        [to = to_, remote = remote_]() -> Result<Begun> {
          auto download =
              remote ? Download::resume(to, remote->fingerprint()) : Download::create(to);
          if (!download) return fail(download.error());
          std::uint64_t there = remote ? download->size() : 0;
          if (remote && there > remote->size && download->restart()) there = 0;
          return Begun{std::make_shared<Download>(*std::move(download)), there};
        },
        [this](Result<Begun> begun) {
          if (!begun) return failed(begun.error());
          download_ = std::move(begun->download);
          if (begun->there == 0) return write_to(download_->fd(), to_.path());
          // Behind what an earlier transfer has left.
          digest(download_->fd(), begun->there,
                 [this, there = begun->there](Result<FileDigests> digests) {
                   if (!digests) return failed(digests.error());
                   goes_on_ = true;
                   write_to(download_->fd(), to_.path(), *std::move(digests), there);
                 });
        });
  }

  void write_to(SharedFd fd, const std::string& called) {
    auto digests = FileDigests::create(!options().sha256.empty());
    if (!digests) return failed(digests.error());
    write_to(std::move(fd), called, *std::move(digests), 0);
  }

  void write_to(SharedFd fd, const std::string& called, FileDigests digests, std::uint64_t there) {
    writer_.emplace(client().loop(), std::move(fd), called, [this] { call_off(); });
    writer_->go_on(std::move(digests), there);
    fetch();
  }

  void fetch();
  void fetched(const Outcome& outcome, const Receiving& receiving);

  // The reply is complete: is the file?
  Result<std::string> check() {
    const std::uint64_t written = writer_->written();
    if (remote_ && remote_->size != written) return fail(wrong_size(std::to_string(written)));
    FileDigests& digests = writer_->digests();
    std::string xxh3 = digests.xxh3.finish();
    if (remote_ && remote_->xxh3 && *remote_->xxh3 != xxh3) {
      return fail(other_bytes("xxh3", *remote_->xxh3, xxh3));
    }
    if (digests.sha256) {
      const std::string sha256 = digests.sha256->finish();
      if (sha256 != options().sha256) return fail(other_bytes("sha256", options().sha256, sha256));
    }
    return xxh3;
  }

  Error other_bytes(const char* digest, const std::string& expected, const std::string& came) {
    // What an earlier transfer has left may have suffered from how that one ended.
    of_no_use_ = std::exchange(goes_on_, false);
    useless();
    return {Errc::checksum_mismatch, std::string(digest) + " is to be " + expected +
                                         ", that of the bytes that came is " + came};
  }

  void publish(FileTransferred done) {
    if (!download_) return end(std::move(done));
    const auto mtime_ms = remote_ ? remote_->mtime_ms : std::optional<std::int64_t>();
    work([download = download_, replace = options().overwrite,
          mtime_ms] { return download->publish(replace, mtime_ms); },
         [this, done = std::move(done)](const Result<void>& published) mutable {
           if (published) return end(std::move(done));
           if (published.error().code == Errc::already_exists) useless();
           failed(published.error());
         });
  }

  // The server's file is another one now, so what has come is of no use.
  void changed() {
    of_no_use_ = true;
    failed({Errc::failed_precondition, "the file changes on the server while it is fetched"});
  }
  // What has come is not to be gone on with.
  void useless() {
    if (download_) download_->discard();
  }
  [[nodiscard]] Error wrong_size(const std::string& came) const {
    return {Errc::io_error,
            "the file has " + std::to_string(remote_->size) + " bytes, " + came + " have come"};
  }

  // As if nothing had come; false where it cannot be taken back.
  bool forget() {
    const bool nothing = !writer_ || writer_->written() == 0;
    if (!nothing && !(download_ && download_->restart())) return false;
    useless();
    let_go();
    remote_.reset();
    return true;
  }

  const std::string name_;
  const LocalFile to_;
  const SharedFd output_;             // where to instead of a file; may be null
  std::optional<RemoteFile> remote_;  // whose bytes have come, or are asked for
  std::shared_ptr<Download> download_;
  std::optional<FileWriter> writer_;
  int beginnings_ = 1;
  bool goes_on_ = false;    // with what an earlier transfer has left
  bool of_no_use_ = false;  // what has come, after this attempt
};

// A reply's body on its way to the writer. It has to belong to the file that was expected, if any
// was.
class GetTransfer::Receiving final : public ReplyHandler {
 public:
  explicit Receiving(GetTransfer& transfer)
      : transfer_(&transfer),
        received_(transfer.writer_->written()),
        goes_on_(received_ > 0),
        expected_(transfer.remote_) {}

  void on_frame(const Header& header) override {
    if (remote_ || !transfer_->running()) return;
    remote_ = RemoteFile::of(header);
    if (!remote_) {
      if (header.find("file_size")) refuse(header.integer("file_size", 0, kLargestFile).error());
      return;
    }
    if (expected_ && *remote_ != *expected_) return call_off(changed_);
    transfer_->observer().on_size(remote_->size);
  }
  void on_body(Chunk chunk) override {
    if (changed_ || too_long_ || nonsense_ || !transfer_->running()) return;
    // Bytes of nobody knows which file must not come behind those of ours.
    if (goes_on_ && !remote_) return call_off(changed_);
    received_ += chunk.size();
    if (remote_ && received_ > remote_->size) return call_off(too_long_);
    transfer_->writer_->write(std::move(chunk).keep());
    transfer_->observer().on_progress(received_);
  }
  void on_end(Result<void> result, const Header* header) override {
    if (!transfer_->goes_on()) return;
    GetTransfer& transfer = *transfer_;
    transfer.writer_->when_idle(
        transfer.then([&transfer, receiving = *this,
                       outcome = Outcome{std::move(result), Ref<const Header>(header)}] {
          transfer.fetched(outcome, receiving);
        }));
  }

  [[nodiscard]] bool changed() const noexcept { return changed_; }
  [[nodiscard]] bool too_long() const noexcept { return too_long_; }
  // What is wrong with the size that the server has said.
  [[nodiscard]] const std::optional<Error>& nonsense() const noexcept { return nonsense_; }
  [[nodiscard]] const std::optional<RemoteFile>& remote() const noexcept { return remote_; }

 private:
  void call_off(bool& why) {
    why = true;
    transfer_->call_off();
  }
  void refuse(const Error& error) {
    nonsense_ = error;
    transfer_->call_off();
  }

  Ref<GetTransfer> transfer_;
  std::uint64_t received_;
  bool goes_on_;
  std::optional<RemoteFile> expected_;
  std::optional<RemoteFile> remote_;
  bool changed_ = false;
  bool too_long_ = false;
  std::optional<Error> nonsense_;
};

void GetTransfer::fetch() {
  const std::uint64_t offset = writer_->written();
  if (offset > 0 && !remote_) return changed();  // for all that is known
  observer().on_begin(offset);
  Call call{.cmd = "get", .members = Members().set("filename", name_)};
  if (offset > 0) call.members.set("offset", offset);
  send(std::move(call), std::make_unique<Receiving>(*this));
}

void GetTransfer::fetched(const Outcome& outcome, const Receiving& receiving) {
  observer().on_progress(writer_->written());
  if (writer_->error()) return failed(*writer_->error());
  // An offset that is none is one behind the end: the file has become shorter.
  const bool shorter = !outcome.result && writer_->written() > 0 && !receiving.remote() &&
                       outcome.result.error().code == Errc::invalid_argument;
  if (receiving.changed() || shorter) return changed();
  if (receiving.remote()) remote_ = receiving.remote();
  if (receiving.nonsense()) {
    useless();
    return failed(*receiving.nonsense());
  }
  if (receiving.too_long()) {
    useless();
    return failed(wrong_size("more"));
  }
  if (!outcome.result) return failed(outcome.result.error());
  Result<std::string> xxh3 = check();
  if (!xxh3) return failed(xxh3.error());
  publish({.size = writer_->written(), .xxh3 = *std::move(xxh3), .header = outcome.header});
}

}  // namespace

FileTransfer get_file(ReconnectingClient& client, std::string name, LocalFile to,
                      FileTransferOptions options, FileTransfer::Done done) {
  return FileTransfers::start(make_ref<GetTransfer>(client, std::move(name), std::move(to),
                                                    std::move(options), std::move(done)));
}

FileTransfer get_file(ReconnectingClient& client, std::string name, SharedFd to, std::string called,
                      FileTransferOptions options, FileTransfer::Done done) {
  return FileTransfers::start(make_ref<GetTransfer>(client, std::move(name), std::move(to),
                                                    std::move(called), std::move(options),
                                                    std::move(done)));
}

}  // namespace v0
}  // namespace cleave
