// SPDX-License-Identifier: MIT
#include "cleave/bin/client/get_file.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/download.h"
#include "cleave/bin/client/file_bytes.h"
#include "cleave/bin/client/file_source.h"
#include "cleave/bin/client/remote_file.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/writer.h"

namespace cleave::cli {
namespace {

// How often a file is begun that becomes another one while it is fetched.
constexpr int kBeginnings = 4;

// A reply's body on its way to the writer. It has to belong to the file that was `expected`, if any
// was.
class Receiving final : public Sink {
 public:
  Receiving(const Transfer& transfer, Writer& writer, std::optional<RemoteFile> expected)
      : transfer_(transfer),
        writer_(writer),
        received_(writer.written()),
        goes_on_(received_ > 0),
        expected_(std::move(expected)) {}

  void on_frame(const Header& header) override {
    if (remote_) return;
    remote_ = RemoteFile::of(header);
    if (!remote_) return;
    if (expected_ && *remote_ != *expected_) return end(changed_);
    transfer_.share.expect(remote_->size);
  }
  void on_body(Buffer bytes) override {
    if (changed_ || too_long_) return;
    // Bytes of nobody knows which file must not come behind those of ours.
    if (goes_on_ && !remote_) return end(changed_);
    received_ += bytes.size();
    if (remote_ && received_ > remote_->size) return end(too_long_);
    writer_.write(std::move(bytes));
    transfer_.share.reach(writer_.written());
  }

  [[nodiscard]] bool changed() const noexcept { return changed_; }
  [[nodiscard]] bool too_long() const noexcept { return too_long_; }
  [[nodiscard]] const std::optional<RemoteFile>& remote() const noexcept { return remote_; }

 private:
  void end(bool& why) {
    why = true;
    transfer_.session.cancel();
  }

  const Transfer& transfer_;
  Writer& writer_;
  std::uint64_t received_;
  bool goes_on_;
  std::optional<RemoteFile> expected_;
  std::optional<RemoteFile> remote_;
  bool changed_ = false;
  bool too_long_ = false;
};

class Get {
 public:
  // `output`: where to instead of a file; may be null.
  Get(const Transfer& transfer, SharedFd output)
      : transfer_(transfer), session_(transfer.session), output_(std::move(output)) {}

  Result<Transferred> run() {
    if (!output_ && transfer_.options.no_clobber && exists(transfer_.local)) {
      return Transferred{.skipped = true};
    }
    Retries retries(transfer_);
    for (int beginnings = 1;;) {
      of_no_use_ = false;
      Result<Transferred> done = attempt();
      if (done) return done;
      if (of_no_use_ && beginnings < kBeginnings && forget()) {
        ++beginnings;
      } else if (of_no_use_ || !retries.again(done.error())) {
        return done;
      }
    }
  }

 private:
  Result<Transferred> attempt() {
    if (!writer_) {
      if (transfer_.options.resume) {
        auto there = ask();
        if (!there) return fail(there.error());
        if (*there) return Transferred{.header = *there};
      }
      if (auto begun = begin(); !begun) return fail(begun.error());
    }
    const std::uint64_t offset = writer_->written();
    if (offset > 0 && !remote_) return fail(changed());  // for all that is known
    transfer_.share.begin_at(offset);
    Call call{.cmd = "get", .members = Members().set("filename", transfer_.remote)};
    if (offset > 0) call.members.set("offset", offset);
    Receiving receiving(transfer_, *writer_, remote_);
    const Outcome outcome = session_.run(transfer_.settings, std::move(call), receiving);
    session_.wait_until([this] { return writer_->idle(); });
    transfer_.share.reach(writer_->written());
    if (writer_->error()) return fail(*writer_->error());
    // An offset that is none is one behind the end: the file has become shorter.
    const bool shorter =
        !outcome.result && offset > 0 && outcome.result.error().code == Errc::invalid_argument;
    if (receiving.changed() || shorter) return fail(changed());
    if (receiving.remote()) remote_ = receiving.remote();
    if (receiving.too_long()) return useless(wrong_size("more"));
    if (!outcome.result) return fail(outcome.result.error());
    if (auto right = check(); !right) return fail(right.error());
    return publish(outcome.header);
  }

  Result<void> begin() {
    SharedFd fd = output_;
    if (!fd) {
      auto download = remote_ ? Download::resume(transfer_.local, remote_->fingerprint())
                              : Download::create(transfer_.local);
      if (!download) return fail(download.error());
      download_ = *std::move(download);
      fd = download_->fd();
    }
    const std::string name = output_ ? "standard output" : transfer_.local.path();
    writer_.emplace(session_.loop(), std::move(fd), name, [this] { session_.cancel(); });
    return remote_ ? go_on() : Result<void>();
  }

  // What the server has now; null if the target is not the same already.
  Result<Ref<const Header>> ask() {
    const Outcome known = status_of(session_, transfer_.settings, transfer_.remote);
    if (!known.result) return fail(known.result.error());
    remote_ = RemoteFile::of(*known.header);
    if (!remote_ || !remote_->xxh3) return Ref<const Header>();
    const auto target = FileSource::open(session_.loop(), transfer_.local);
    if (!target || (*target)->file_size() != remote_->size) return Ref<const Header>();
    auto digest = digest_of_prefix(session_, (*target)->fd(), remote_->size);
    if (!digest) return fail(digest.error());
    return digest->finish() == *remote_->xxh3 ? known.header : Ref<const Header>();
  }

  // Behind what an earlier command has left.
  Result<void> go_on() {
    std::uint64_t there = download_->size();
    if (there > remote_->size && download_->restart()) there = 0;
    if (there == 0) return {};
    auto hash = digest_of_prefix(session_, download_->fd(), there);
    if (!hash) return fail(hash.error());
    writer_->go_on(*std::move(hash), there);
    goes_on_ = true;
    return {};
  }

  // The reply is complete: is the file?
  Result<void> check() {
    if (!remote_) return {};
    const std::uint64_t written = writer_->written();
    if (remote_->size != written) return fail(wrong_size(std::to_string(written)));
    const std::string digest = writer_->digest();
    if (!remote_->xxh3 || *remote_->xxh3 == digest) return {};
    const Error error{Errc::checksum_mismatch, "xxh3 is to be " + *remote_->xxh3 +
                                                   ", that of the bytes that came is " + digest};
    // What an earlier command has left may have suffered from how that one ended.
    of_no_use_ = std::exchange(goes_on_, false);
    return useless(error);
  }

  Result<Transferred> publish(const Ref<const Header>& header) {
    if (!download_) return Transferred{.header = header};
    const bool replace = !transfer_.options.no_clobber;
    auto published =
        download_->publish(replace, remote_ ? remote_->mtime_ms : std::optional<std::int64_t>());
    if (published) return Transferred{.header = header};
    if (!replace && published.error().code == Errc::already_exists) {
      download_->discard();
      return Transferred{.skipped = true};
    }
    return fail(published.error());
  }

  // The server's file is another one now, so what has come is of no use.
  Error changed() {
    of_no_use_ = true;
    return {Errc::failed_precondition, "the file changes on the server while it is fetched"};
  }
  // What has come is not to be gone on with.
  tl::unexpected<Error> useless(Error error) {
    if (download_) download_->discard();
    return fail(std::move(error));
  }
  [[nodiscard]] Error wrong_size(const std::string& came) const {
    return {Errc::io_error,
            "the file has " + std::to_string(remote_->size) + " bytes, " + came + " have come"};
  }

  // As if nothing had come; false where it cannot be taken back.
  bool forget() {
    const bool nothing = !writer_ || writer_->written() == 0;
    if (!nothing && !(download_ && download_->restart())) return false;
    writer_.reset();
    if (download_) download_->discard();
    download_.reset();
    remote_.reset();
    return true;
  }

  const Transfer& transfer_;
  Session& session_;
  SharedFd output_;
  std::optional<RemoteFile> remote_;  // whose bytes have come, or are asked for
  std::optional<Download> download_;
  std::optional<Writer> writer_;
  bool goes_on_ = false;    // with what an earlier command has left
  bool of_no_use_ = false;  // what has come, after this attempt
};

}  // namespace

Result<Transferred> get_file(const Transfer& transfer) {
  return Get(transfer, nullptr).run();
}

Result<Transferred> get_to_output(const Transfer& transfer) {
  return Get(transfer, standard_descriptor(STDOUT_FILENO)).run();
}

}  // namespace cleave::cli
