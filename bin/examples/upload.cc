// SPDX-License-Identifier: MIT
// A streaming handler: stores a body of any size in one file, in constant memory. The chunks that
// wait for the disk are Buffers, so a slow disk slows the sender down.
//
//     $ build/bin/example_upload stored &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ echo hello | cleave call upload --body - && cat stored
//     {"file_size":6}
//     hello
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>

#include "cleave/core/server.h"

using namespace cleave;

namespace {

// Outlives its handler while a write is under way, so that one is never torn from its memory.
class Upload final : public Handler, public std::enable_shared_from_this<Upload> {
 public:
  Upload(Loop& loop, Fd file, ReplyToken token)
      : loop_(loop), file_(std::move(file)), token_(std::move(token)) {}

  void on_body(Chunk chunk) override {
    waiting_.push_back(std::move(chunk).keep());
    write();
  }
  void on_end() override {
    ended_ = true;
    write();
  }

 private:
  void write() {
    if (writing_) return;
    if (waiting_.empty()) {
      if (ended_) std::move(token_).ok(Members().set("file_size", written_));
      return;
    }
    writing_ = true;
    Buffer bytes = std::move(waiting_.front());
    waiting_.pop_front();
    std::string_view view = bytes.bytes();
    loop_.offload([fd = file_.get(), view] { return ::write(fd, view.data(), view.size()); },
                  [self = shared_from_this(), bytes = std::move(bytes)](ssize_t count) {
                    self->writing_ = false;
                    if (count != static_cast<ssize_t>(bytes.size())) {
                      return std::move(self->token_).fail({Errc::io_error, "the write failed"});
                    }
                    self->written_ += static_cast<std::uint64_t>(count);
                    self->write();
                  },
                  Lane::disk);
  }

  Loop& loop_;
  Fd file_;
  ReplyToken token_;
  std::deque<Buffer> waiting_;
  std::uint64_t written_ = 0;
  bool writing_ = false;
  bool ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: upload FILE [URL]\n"), 2;
  auto loop = Loop::create().value();
  Router router;
  router.add("upload", {.summary = "stores the body"},
             streaming([&loop, path = argv[1]](const Request&, ReplyToken token) {
               Fd file(::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
               if (!file) {
                 std::move(token).fail({Errc::io_error, std::strerror(errno)});
                 return std::shared_ptr<Upload>();
               }
               return std::make_shared<Upload>(*loop, std::move(file), std::move(token));
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 2 ? argv[2] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "upload: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
