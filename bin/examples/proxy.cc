// SPDX-License-Identifier: MIT
// A proxy: passes a command on to another server and its reply back, both as they come. The slowest
// of the four legs sets the pace, as Buffers wait where it is slow. Behind it here is the daemon.
//
//     $ build/bin/cleaved --listen unix:backend.sock &
//     listening on unix:backend.sock?wire=frame
//     ready
//     $ build/bin/example_proxy unix:backend.sock &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ cleave echo hello
//     hello
#include <cstdio>

#include "cleave/core/client.h"
#include "cleave/core/server.h"

using namespace cleave;

namespace {

// The backend's reply, passed on.
class Answering final : public ReplyHandler {
 public:
  Answering(std::shared_ptr<Relay> reply, ReplyToken token)
      : reply_(std::move(reply)), token_(std::move(token)) {}

  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()), begin(); }
  void on_end(Result<void> outcome, const Header*) override {
    reply_->finish({}, outcome ? std::nullopt : std::optional<Error>(outcome.error()));
    begin();
  }

 private:
  void begin() {
    if (!std::exchange(begun_, true)) std::move(token_).ok({}, std::shared_ptr<Source>(reply_));
  }

  std::shared_ptr<Relay> reply_;
  ReplyToken token_;
  bool begun_ = false;
};

// The request's body, passed on.
class Forwarding final : public Handler {
 public:
  Forwarding(Client& backend, const Request& request, ReplyToken token)
      : body_(std::make_shared<Relay>(request.body_size())) {
    auto reply = std::make_shared<Relay>();
    call_ = backend.start({.cmd = "echo", .body = std::shared_ptr<Source>(body_)},
                          std::make_unique<Answering>(reply, std::move(token)));
    reply->on_cancel([call = call_](CancelReason) mutable { call.cancel(); });
  }

  void on_body(Chunk chunk) override { body_->push(std::move(chunk).keep()); }
  void on_end() override { body_->finish(); }
  void on_cancel(CancelReason reason) override {
    body_->finish({}, to_error(reason));
    call_.cancel();
  }

 private:
  std::shared_ptr<Relay> body_;
  CallHandle call_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: proxy BACKEND-URL [URL]\n"), 2;
  auto loop = Loop::create().value();
  std::unique_ptr<Client> backend;
  Router router;
  router.add(
      "echo", {.summary = "the backend's echo"},
      streaming([&backend](const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        if (backend && backend->connected()) {
          return std::make_shared<Forwarding>(*backend, request, std::move(token));
        }
        std::move(token).fail({Errc::unavailable, "the backend is not connected"});
        return nullptr;
      }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 2 ? argv[2] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "proxy: %s\n", url.error().message.c_str()), 1;
  Client::connect(*loop, argv[1], {}, [&](Result<std::unique_ptr<Client>> client) {
    if (!client) {
      std::fprintf(stderr, "proxy: %s\n", client.error().message.c_str());
      return loop->stop();
    }
    backend = std::move(*client);
    std::printf("listening on %s\n", url->c_str());
    std::fflush(stdout);
  });
  loop->run();
}
