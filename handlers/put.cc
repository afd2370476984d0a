// SPDX-License-Identifier: MIT
#include "cleave/handlers/put.h"

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cleave {
inline namespace v0 {
namespace {

// What one job brings to the disk at least, if it can be had: the price of a job is the change of
// threads, and with 256 KiB it costs 20 to 50 % of the speed of 1 MiB.
constexpr std::size_t kJobBytes = 1024 * 1024;
// How long less than that waits for more. It must not wait for ever: other uploads on the
// connection may hold the rest of its window.
constexpr Millis kGather{1};
// Fewer bytes are not worth a second thread for their digests.
constexpr std::size_t kSplitBytes = 256 * 1024;
// For so long a newcomer waits until the one before has let go of an upload: for as long as that
// may take to bring its last part to the disk.
constexpr Millis kTakeOver{10'000};

// The bytes wait as Buffers until a job in the pool has written them: a slow disk holds the sender
// back. There is one job at a time, which takes everything that waits; it also opens the upload, if
// it is the first, and checks it, if it is the last. Digests that take longer than the writing are
// computed beside it.
class Put final : public Handler, public std::enable_shared_from_this<Put> {
 public:
  Put(const PutParts& parts, UploadRequest request, std::shared_ptr<void> place, ReplyToken token)
      : parts_(parts),
        place_(std::move(place)),
        request_(std::move(request)),
        token_(std::move(token)),
        gather_(parts.loop, [this] { start_job(); }),
        patience_(parts.loop, [this] {
          answer(Reply::failure({Errc::busy, "the upload '" + request_.id->text() +
                                                 "' is under way in another request, which did "
                                                 "not end in time"}));
        }) {}

  void begin() {
    if (!request_.id) return start();
    const auto call = [self = weak_from_this()](void (Put::*what)()) {
      return [self, what] {
        if (const std::shared_ptr<Put> put = self.lock()) ((*put).*what)();
      };
    };
    claim_ = parts_.claims->claim(*request_.id, call(&Put::start), call(&Put::superseded));
    if (claim_->granted()) return start();
    patience_.start(kTakeOver);
  }

  void on_body(Chunk chunk) override {
    // Until an early answer is on its way, the body goes on.
    if (!token_ || superseded_) return;
    waiting_bytes_ += chunk.size();
    waiting_.push_back(std::move(chunk).keep());
    advance();
  }
  void on_end() override {
    ended_ = true;
    advance();
  }
  // Answers, with the reason, when nothing is left of the file, or when what is kept of it is on
  // the disk. What completes it is not called back: whether the file is stored is then the answer.
  void on_cancel(CancelReason /*reason*/) override {
    cancelled_ = true;
    give_up();
  }

 private:
  enum class Step : std::uint8_t {
    more,       // goes on with what comes
    behind,     // is all written, and has to read more of what was stored before
    ready,      // is checked, and waits for its commit
    stored,     // has its name
    parked,     // is kept, and not complete
    elsewhere,  // does not begin where the request begins
  };

  // The upload is ours.
  void start() {
    assert(token_ && !cancelled_ && !started_);
    patience_.stop();
    started_ = true;
    // A large body can be refused before it comes.
    if (request_.id || !request_.size || *request_.size > kJobBytes) return start_job();
    advance();
  }

  // Another request goes on with the upload.
  void superseded() {
    superseded_ = true;
    give_up();
  }

  void give_up() {
    waiting_.clear();
    gather_.stop();
    if (!busy()) let_go();
  }

  [[nodiscard]] bool busy() const noexcept { return jobs_ > 0 || committing_; }

  void advance() {
    if (busy() || !token_ || !started_ || cancelled_ || superseded_) return;
    if (ended_ || waiting_bytes_ >= kJobBytes) return start_job();
    if (!waiting_.empty() && !gather_.running()) gather_.start(kGather);
  }

  void start_job() {
    assert(!busy() && !cancelled_ && !superseded_);
    gather_.stop();
    writing_ = std::exchange(waiting_, {});
    const std::size_t bytes = std::exchange(waiting_bytes_, 0);
    split_ = upload_ && bytes >= kSplitBytes && upload_->digests_slowly();
    last_ = ended_ && !split_;
    run_job();
    if (!split_) return;
    ++jobs_;
    parts_.loop.offload([this] { upload_->digest(pieces()); },
                        [self = shared_from_this()] { self->job_done(); }, Lane::disk);
  }

  void run_job() {
    ++jobs_;
    parts_.loop.offload([this] { return work(); },
                        [self = shared_from_this()](Result<Step> outcome) {
                          self->outcome_ = std::move(outcome);
                          self->job_done();
                        },
                        Lane::disk);
  }

  // In the pool; the loop's thread leaves alone what it uses until it is done.
  Result<Step> work() {
    Result<Step> step = write();
    // It ends here, as removing a large file takes its time.
    const bool over =
        step && (*step == Step::stored || *step == Step::parked || *step == Step::elsewhere);
    if (over) upload_.reset();
    return step;
  }

  Result<Step> write() {
    if (!upload_) {
      Result<std::unique_ptr<Upload>> begun = parts_.store->upload(request_);
      if (!begun) return fail(std::move(begun.error()));
      upload_ = *std::move(begun);
      offset_ = upload_->offset();
      if (offset_ != request_.offset) return Step::elsewhere;
      if (upload_->complete()) {
        stored_ = *upload_->complete();
        return Step::stored;
      }
    }
    Result<void> written = split_ ? upload_->store(pieces()) : upload_->write(pieces());
    if (!written) return fail(std::move(written.error()));
    if (!last_) return Step::more;
    if (request_.id && upload_->offset() < *request_.size) {
      offset_ = upload_->offset();
      if (Result<void> parked = upload_->park(); !parked) return fail(std::move(parked.error()));
      return Step::parked;
    }
    const Result<bool> caught_up = upload_->catch_up();
    if (!caught_up) return fail(caught_up.error());
    return *caught_up ? finish() : Step::behind;
  }

  Result<Step> finish() {
    if (parts_.store->options().durability == Durability::none) {
      Result<StoredFile> stored = upload_->finish();
      if (!stored) return fail(std::move(stored.error()));
      stored_ = *std::move(stored);
      return Step::stored;
    }
    if (Result<void> checked = upload_->check(); !checked) return fail(std::move(checked.error()));
    // What takes long is not done while others wait for the same commit.
    if (upload_->offset() > kJobBytes) {
      if (Result<void> flushed = upload_->flush(); !flushed)
        return fail(std::move(flushed.error()));
    }
    return Step::ready;
  }

  [[nodiscard]] std::vector<std::string_view> pieces() const {
    std::vector<std::string_view> views;
    for (const Buffer& buffer : writing_) views.push_back(buffer.bytes());
    return views;
  }

  void job_done() {
    if (--jobs_ > 0) return;
    if (!outcome_) {
      writing_.clear();
      failure_ = std::move(outcome_.error());
      return let_go();
    }
    writing_.clear();
    switch (*outcome_) {
      case Step::behind:
        return cancelled_ || superseded_ ? let_go() : run_job();
      case Step::more:
        return cancelled_ || superseded_ ? let_go() : advance();
      case Step::ready:
        return commit();
      case Step::stored:
        return answer_stored(stored_);
      case Step::parked:
        return answer(
            {.members = Members().set("upload", request_.id->text()).set("offset", offset_)});
      case Step::elsewhere:
        return answer({.members = Members().set("offset", offset_),
                       .error = Error{Errc::offset_mismatch,
                                      "the upload '" + request_.id->text() + "' goes on at " +
                                          std::to_string(offset_) + ", this request begins at " +
                                          std::to_string(request_.offset)}});
    }
  }

  void commit() {
    committing_ = true;
    parts_.commits->add(std::move(upload_),
                        [self = shared_from_this()](const Result<StoredFile>& stored) {
                          self->committing_ = false;
                          if (stored) return self->answer_stored(*stored);
                          self->answer(Reply::failure(stored.error()));
                        });
  }

  void answer_stored(const StoredFile& stored) {
    Members members;
    members.set("filename", request_.name.text()).set("file_size", stored.size);
    for (const DigestValue& digest : stored.digests) {
      members.set(to_string(digest.kind), digest.hex);
    }
    answer({.members = std::move(members)});
  }

  // Ends early: what has come of an upload with an id is kept, of others nothing.
  void let_go() {
    if (!upload_) return answer_early();
    ++jobs_;
    parts_.loop.offload(
        [this] {
          // If that fails as well, what was recorded before is what there is.
          if (request_.id) (void)upload_->park();
          upload_.reset();
        },
        [self = shared_from_this()] {
          --self->jobs_;
          self->answer_early();
        },
        Lane::disk);
  }

  void answer_early() {
    if (failure_) return answer(Reply::failure(*std::move(failure_)));
    if (superseded_ && !cancelled_) {
      return answer(
          Reply::failure({Errc::failed_precondition, "another request goes on with the upload '" +
                                                         request_.id->text() + "'"}));
    }
    token_.reset();  // answers the reason
    claim_.reset();
  }

  void answer(Reply reply) {
    gather_.stop();
    patience_.stop();
    waiting_.clear();
    if (token_) std::move(*token_).send(std::move(reply));
    token_.reset();
    claim_.reset();
  }

  PutParts parts_;
  std::shared_ptr<void> place_;  // of OpenFiles; goes after the upload
  UploadRequest request_;
  std::unique_ptr<UploadClaims::Claim> claim_;
  std::optional<ReplyToken> token_;
  Timer gather_;
  Timer patience_;  // with the request that has the upload
  std::vector<Buffer> waiting_;
  std::vector<Buffer> writing_;
  std::size_t waiting_bytes_ = 0;
  // Used by the jobs alone.
  std::unique_ptr<Upload> upload_;
  std::uint64_t offset_ = 0;
  StoredFile stored_;
  // Of the last job.
  Result<Step> outcome_ = Step::more;
  std::optional<Error> failure_;
  int jobs_ = 0;
  bool split_ = false;  // digests are computed beside it
  bool last_ = false;
  bool started_ = false;
  bool committing_ = false;
  bool ended_ = false;
  bool cancelled_ = false;
  bool superseded_ = false;
};

}  // namespace

std::shared_ptr<Handler> make_put(const PutParts& parts, UploadRequest request,
                                  std::shared_ptr<void> place, ReplyToken token) {
  auto put = std::make_shared<Put>(parts, std::move(request), std::move(place), std::move(token));
  put->begin();
  return put;
}

}  // namespace v0
}  // namespace cleave
