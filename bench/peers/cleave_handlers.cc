// SPDX-License-Identifier: MIT
// Commands that a stranger would write with Cleave's public headers, beside the echo that is built
// in: what it costs to be none of the built-in ones.
//
//     bench_cleave_handlers        prints its port on 127.0.0.1 and serves until it is killed
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cleave/core/endpoint.h"
#include "cleave/core/handler.h"
#include "cleave/core/loop.h"
#include "cleave/core/recycled.h"
#include "cleave/core/reply.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/handlers/echo.h"

using namespace cleave;

namespace {

// Passes every piece of the body on as it comes.
class PassOn final : public Handler {
 public:
  PassOn(const Request& request, ReplyToken token)
      : reply_(make_recycled<Relay>(request.body_size())) {
    std::move(token).ok({}, std::shared_ptr<Source>(reply_));
  }
  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()); }
  void on_end() override { reply_->finish(); }

 private:
  std::shared_ptr<Relay> reply_;
};

}  // namespace

int main() {
  const auto loop = Loop::create().value();
  Router router;
  add_echo(router);
  router.add("stranger_streaming", {.summary = "replies with the body, as it comes"},
             streaming([](const Request& request, ReplyToken token) {
               return make_recycled<PassOn>(request, std::move(token));
             }));
  router.add("stranger_collected", {.summary = "replies with the body, once it is there"},
             collected([](const Request&, std::string_view body, ReplyWriter& reply) {
               reply.append(body);
               return Result<void>();
             }));
  router.add("stranger_later", {.summary = "replies with the body, in a later turn of the loop"},
             later([&loop](const Request&, Buffer body, ReplyToken token) {
               loop->post([token = std::move(token), body = std::move(body)]() mutable {
                 std::move(token).ok({}, std::move(body));
               });
             }));
  Server server(*loop, router);
  const auto url = server.listen("tcp://127.0.0.1:0");
  if (!url) {
    std::fprintf(stderr, "bench_cleave_handlers: %s\n", url.error().message.c_str());
    return 1;
  }
  std::printf("%d\n", Endpoint::parse(*url).value().port);
  std::fflush(stdout);
  loop->run();
}
