// SPDX-License-Identifier: MIT
#include "cleave/handlers/echo.h"

#include "cleave/core/recycled.h"

namespace cleave {
inline namespace v0 {
namespace {

class Echo final : public Handler {
 public:
  Echo(const Request& request, ReplyToken token)
      : reply_(make_recycled<Relay>(request.body_size())) {
    std::move(token).ok({}, std::shared_ptr<Source>(reply_));
  }

  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()); }
  void on_end() override { reply_->finish(); }

 private:
  std::shared_ptr<Relay> reply_;
};

}  // namespace

void add_echo(Router& router) {
  router.add("echo",
             {.summary = "replies with the body",
              .whole = collected(
                  [](const Request&, std::string_view body, ReplyWriter& reply) -> Result<void> {
                    reply.append(body);
                    return {};
                  }),
              .datagram = true},
             streaming([](const Request& request, ReplyToken token) {
               return make_recycled<Echo>(request, std::move(token));
             }));
}

}  // namespace v0
}  // namespace cleave
