// SPDX-License-Identifier: MIT
// `exec` in a process that holds more memory than cleaved does, made with Cleave's public headers.
//
//     bench_cleave_runs BYTES     holds so much memory, prints its port on 127.0.0.1 and serves
//                                 `exec` and `echo` until it is killed
#include <cstdio>

#include "cleave/bench/raw_runs.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/handlers/echo.h"
#include "cleave/handlers/exec.h"

using namespace cleave;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "bench_cleave_runs: how many bytes are to be held?\n");
    return 1;
  }
  const bench::HeldMemory memory(argv[1]);
  const auto loop = Loop::create().value();
  Router router;
  add_echo(router);
  add_exec(router, *loop, {.mode = ExecMode::shell});
  Server server(*loop, router);
  const auto url = server.listen("tcp://127.0.0.1:0");
  if (!url) {
    std::fprintf(stderr, "bench_cleave_runs: %s\n", url.error().message.c_str());
    return 1;
  }
  std::printf("%d\n", Endpoint::parse(*url).value().port);
  std::fflush(stdout);
  loop->run();
}
