// SPDX-License-Identifier: MIT
// A streaming handler: digests of a body of any size, in constant memory. SHA-256 takes the loop's
// thread two seconds for each gigabyte, so it is computed in the pool, one piece at a time. Pieces
// that wait for their turn are Buffers, and hold their sender up.
//
//     $ build/bin/example_checksum &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ printf hello | cleave call checksum --header kind=md5 --body -
//     {"bytes":5,"md5":"5d41402abc4b2a76b9719d911017c592"}
//     $ head -c 2000000 /dev/zero | cleave call checksum --header kind=md5 --body -
//     {"bytes":2000000,"md5":"6bde2aa6394fde37e21748bc0578113b"}
#include <cstdio>
#include <deque>

#include "cleave/core/server.h"
#include "cleave/handlers/digest.h"

using namespace cleave;

namespace {

// Outlives its request while a piece is at work.
class Checksum final : public Handler, public std::enable_shared_from_this<Checksum> {
 public:
  Checksum(Loop& loop, Digest digest, ReplyToken token)
      : loop_(loop), digest_(std::move(digest)), token_(std::move(token)) {}

  void on_body(Chunk chunk) override {
    waiting_.push_back(std::move(chunk).keep());
    go_on();
  }
  void on_end() override {
    ended_ = true;
    go_on();
  }
  void on_cancel(CancelReason reason) override {
    waiting_.clear();
    std::move(token_).fail(to_error(reason));
  }

 private:
  void go_on() {
    if (at_work_) return;
    if (waiting_.empty()) {
      if (!ended_) return;
      return std::move(token_).ok(
          Members().set("bytes", bytes_).set(to_string(digest_.kind()), digest_.finish()));
    }
    at_work_ = true;
    Buffer piece = std::move(waiting_.front());
    waiting_.pop_front();
    bytes_ += piece.size();
    auto work = [this, bytes = piece.bytes()] { digest_.update(bytes); };
    loop_.offload(std::move(work), [self = shared_from_this(), piece = std::move(piece)] {
      self->at_work_ = false;
      self->go_on();
    });
  }

  Loop& loop_;
  Digest digest_;
  ReplyToken token_;
  std::deque<Buffer> waiting_;
  std::uint64_t bytes_ = 0;
  bool at_work_ = false;
  bool ended_ = false;
};

Result<std::shared_ptr<Handler>> begin(Loop& loop, const Request& request, ReplyToken& token) {
  const std::string_view kind = request.string_or("kind", "sha256").value();
  for (const DigestKind each : {DigestKind::xxh3, DigestKind::md5, DigestKind::sha256}) {
    if (to_string(each) != kind) continue;
    Result<Digest> digest = Digest::create(each);
    if (!digest) return fail(digest.error());
    return std::make_shared<Checksum>(loop, *std::move(digest), std::move(token));
  }
  return fail(Errc::invalid_argument, "'kind' must be xxh3, md5 or sha256");
}

}  // namespace

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Router router;
  router.add("checksum",
             {.summary = "the digest of the body",
              .arguments = {{.name = "kind", .summary = "xxh3, md5 or sha256 (the default)"}}},
             streaming([&loop](const Request& request, ReplyToken token) {
               Result<std::shared_ptr<Handler>> handler = begin(*loop, request, token);
               if (!handler) std::move(token).fail(handler.error());
               return handler.value_or(nullptr);
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "checksum: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
