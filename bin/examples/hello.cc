// SPDX-License-Identifier: MIT
// The smallest server: one collected handler.
//
//     $ build/bin/example_hello &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ printf Ada | cleave call greet --body -
//     hello Ada{}
#include <cstdio>

#include "cleave/core/server.h"

using namespace cleave;

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Router router;
  router.add("greet", {.summary = "says hello"},
             collected([](const Request&, std::string_view name) -> Result<Reply> {
               if (name.empty()) return fail(Errc::invalid_argument, "a name is needed");
               return Reply::text("hello " + std::string(name));
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "hello: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
