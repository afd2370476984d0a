// SPDX-License-Identifier: MIT
#include "cleave/handlers/put_command.h"

#include <cassert>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/handlers/store_arguments.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::int64_t kMaxSize = std::numeric_limits<std::int64_t>::max();

// What one job brings to the disk at least, if it can be had: the price of a job is the change of
// threads, and with 256 KiB it costs 20 to 50 % of the speed of 1 MiB.
constexpr std::size_t kJobBytes = 1024 * 1024;
// How long less than that waits for more. It must not wait for ever: other uploads on the
// connection may hold the rest of its window.
constexpr Millis kGather{1};

// The bytes wait as Buffers until a job in the pool has written them: a slow disk holds the sender
// back. There is one job at a time, which takes everything that waits; it also opens the upload,
// if it is the first, and completes it, if it is the last, so a small file is a single job.
class Put final : public Handler, public std::enable_shared_from_this<Put> {
 public:
  Put(Loop& loop, std::shared_ptr<const FileStore> store, std::shared_ptr<void> place,
      UploadRequest request, ReplyToken token)
      : loop_(loop),
        place_(std::move(place)),
        store_(std::move(store)),
        request_(std::move(request)),
        token_(std::move(token)),
        gather_(loop, [this] { start_job(); }) {}

  // Opens the upload of a large body before it comes, so that it can be refused instead.
  void begin() {
    if (!request_.size || *request_.size > kJobBytes) start_job();
  }

  void on_body(Chunk chunk) override {
    // Until an early answer is on its way, the body goes on.
    if (!token_) return;
    waiting_bytes_ += chunk.size();
    waiting_.push_back(std::move(chunk).keep());
    advance();
  }
  void on_end() override {
    ended_ = true;
    advance();
  }
  // Answers, with the reason, when nothing is left of the file. A job that completes it is not
  // called back: whether the file is stored is then its answer.
  void on_cancel(CancelReason /*reason*/) override {
    cancelled_ = true;
    waiting_.clear();
    gather_.stop();
    if (!job_) abandon();
  }

 private:
  void advance() {
    if (job_ || !token_) return;
    if (ended_ || waiting_bytes_ >= kJobBytes) return start_job();
    if (!waiting_.empty() && !gather_.running()) gather_.start(kGather);
  }

  void start_job() {
    assert(!job_ && !cancelled_);
    gather_.stop();
    job_ = true;
    writing_ = std::exchange(waiting_, {});
    waiting_bytes_ = 0;
    loop_.offload([this, last = ended_] { return work(last); },
                  [self = shared_from_this()](Result<std::optional<StoredFile>> outcome) {
                    self->job_done(std::move(outcome));
                  },
                  Lane::disk);
  }

  // In the pool; the loop's thread leaves alone what it uses until it is done. The upload ends
  // here in either way, as removing a large file takes its time.
  Result<std::optional<StoredFile>> work(bool last) {
    Result<std::optional<StoredFile>> outcome = write(last);
    if (!outcome || outcome->has_value()) upload_.reset();
    return outcome;
  }

  Result<std::optional<StoredFile>> write(bool last) {
    if (!upload_) {
      Result<std::unique_ptr<Upload>> begun = store_->upload(request_);
      if (!begun) return fail(std::move(begun.error()));
      upload_ = *std::move(begun);
    }
    std::vector<std::string_view> pieces;
    for (const Buffer& buffer : writing_) pieces.push_back(buffer.bytes());
    if (Result<void> written = upload_->write(pieces); !written) {
      return fail(std::move(written.error()));
    }
    if (!last) return std::nullopt;
    Result<StoredFile> stored = upload_->finish();
    if (!stored) return fail(std::move(stored.error()));
    return *std::move(stored);
  }

  void job_done(Result<std::optional<StoredFile>> outcome) {
    job_ = false;
    writing_.clear();
    if (!outcome) return answer(Reply::failure(std::move(outcome.error())));
    if (const std::optional<StoredFile>& stored = *outcome) {
      Members members;
      members.set("filename", request_.name.text()).set("file_size", stored->size);
      for (const DigestValue& digest : stored->digests) {
        members.set(to_string(digest.kind), digest.hex);
      }
      return answer({.members = std::move(members)});
    }
    if (cancelled_) return abandon();
    advance();
  }

  void answer(Reply reply) {
    gather_.stop();
    waiting_.clear();
    std::move(*token_).send(std::move(reply));
    token_.reset();
  }

  void abandon() {
    if (!upload_) return token_.reset();
    loop_.offload([this] { upload_.reset(); },
                  [self = shared_from_this()] { self->token_.reset(); }, Lane::disk);
  }

  Loop& loop_;
  std::shared_ptr<void> place_;  // of OpenFiles; goes after the upload
  std::shared_ptr<const FileStore> store_;
  UploadRequest request_;
  std::optional<ReplyToken> token_;
  Timer gather_;
  std::vector<Buffer> waiting_;
  std::vector<Buffer> writing_;
  std::size_t waiting_bytes_ = 0;
  // Used by the jobs alone.
  std::unique_ptr<Upload> upload_;
  bool job_ = false;
  bool ended_ = false;
  bool cancelled_ = false;
};

// The body of a one-way put: its size stands in `filesize`, or in `file_size` beside `file_name`,
// as in the headers of older clients, which do not read replies.
Result<BodyRule> one_way_rule(const Header& header) {
  std::string_view member;
  if (header.find("file_name") && header.find("file_size")) member = "file_size";
  if (header.find("filesize")) member = "filesize";
  if (header.frame().data_size || member.empty()) return BodyRule{};
  if (header.frame().more || header.find("upload")) {
    return fail(Errc::invalid_argument, "'data_size' is needed beside 'more' or 'upload'");
  }
  Result<std::int64_t> size = header.integer(member, 0, kMaxSize);
  if (!size) return fail(std::move(size.error()));
  return BodyRule{.size = static_cast<std::uint64_t>(*size), .one_way = true};
}

// The types of the declared arguments have been checked; here is what else they have to be.
Result<UploadRequest> upload_request(const Request& request) {
  const Result<std::int64_t> offset = request.integer_or("offset", 0, kMaxSize, 0);
  if (request.has("upload") || !offset || *offset != 0) return fail(resumable_refusal());
  const bool older = request.has("file_name") && !request.has("filename");
  Result<FileName> name = name_argument(request, older ? "file_name" : "filename");
  if (!name) return fail(std::move(name.error()));
  UploadRequest upload{.name = *std::move(name),
                       .overwrite = *request.boolean_or("overwrite", true),
                       .size = request.body_size()};
  if (request.has("mtime_ms")) upload.mtime_ms = *request.integer("mtime_ms", 0, kMaxTime);
  if (request.has("file_size")) {
    const auto size = static_cast<std::uint64_t>(*request.integer("file_size", 0, kMaxSize));
    if (upload.size.value_or(size) != size) {
      return fail(Errc::invalid_argument, "'file_size' is " + std::to_string(size) +
                                              ", and the body has " + std::to_string(*upload.size) +
                                              " bytes");
    }
    upload.size = size;
  }
  for (const DigestKind kind : {DigestKind::md5, DigestKind::sha256, DigestKind::xxh3}) {
    if (!request.has(to_string(kind))) continue;
    Result<std::string> hex = parse_digest(kind, *request.string(to_string(kind)));
    if (!hex) return fail(std::move(hex.error()));
    upload.expected.push_back({kind, *std::move(hex)});
  }
  return upload;
}

}  // namespace

void add_put(Router& router, Loop& loop, std::shared_ptr<const FileStore> store,
             std::shared_ptr<OpenFiles> open_files) {
  using Type = Argument::Type;
  router.add(
      "put",
      {.summary = "stores the body as a file",
       .arguments = {{.name = "filename", .summary = "its name: a relative path"},
                     {.name = "file_name", .summary = "the same, where 'filename' is absent"},
                     {.name = "file_size",
                      .type = Type::integer,
                      .summary = "all its bytes, checked",
                      .max = kMaxSize},
                     {.name = "md5", .summary = "its digest in hex, checked"},
                     {.name = "sha256", .summary = "its digest in hex, checked"},
                     {.name = "xxh3", .summary = "its digest in hex, checked"},
                     {.name = "overwrite",
                      .type = Type::boolean,
                      .summary = "false: refuse to replace a file"},
                     {.name = "mtime_ms",
                      .type = Type::integer,
                      .summary = "the time of its last change, in ms since 1970",
                      .max = kMaxTime}},
       .body_rule = one_way_rule},
      streaming([&loop, store = std::move(store), open_files = std::move(open_files)](
                    const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        Result<UploadRequest> upload = upload_request(request);
        if (!upload) {
          std::move(token).fail(std::move(upload.error()));
          return nullptr;
        }
        Result<std::shared_ptr<void>> place = open_files->take(request.peer());
        if (!place) {
          std::move(token).fail(std::move(place.error()));
          return nullptr;
        }
        auto put = std::make_shared<Put>(loop, store, *std::move(place), *std::move(upload),
                                         std::move(token));
        put->begin();
        return put;
      }));
}

}  // namespace v0
}  // namespace cleave
