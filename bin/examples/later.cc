// SPDX-License-Identifier: MIT
// Answering later: keep the token, use it when the time has come. Usage: later [URL]
#include <cstdio>

#include "cleave/core/server.h"

using namespace cleave;

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Router router;
  router.add("wait",
             {.summary = "answers after a while",
              .arguments = {{.name = "ms",
                             .type = Argument::Type::integer,
                             .summary = "how long to wait",
                             .required = true,
                             .max = 60'000}}},
             later([&loop](const Request& request, Buffer body, ReplyToken token) {
               const Millis delay(request.integer("ms", 0, 60'000).value());
               loop->after(delay, [token = std::move(token), body = std::move(body)]() mutable {
                 std::move(token).ok({}, std::move(body));
               });
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "later: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
