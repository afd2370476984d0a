// SPDX-License-Identifier: MIT
// A client on a loop: asks a server ten times a second how long it has been up, goes on while the
// server is away, and ends after so many answers. Usage: poll URL COUNT
#include <cstdio>
#include <cstdlib>

#include "cleave/core/reconnecting_client.h"

using namespace cleave;

namespace {

class Poll {
 public:
  Poll(Loop& loop, ReconnectingClient& client, int count)
      : loop_(loop), client_(client), left_(count), timer_(loop, [this] { ask(); }) {
    timer_.start(Millis(0));
  }

 private:
  void ask() {
    client_.call({.cmd = "ping", .timeout = Millis(2'000), .idempotent = true},
                 [this](const Result<Answer>& answer) { on_answer(answer); });
  }
  void on_answer(const Result<Answer>& answer) {
    // It was tried four times by now, or for two seconds.
    if (!answer) std::fprintf(stderr, "poll: %s\n", answer.error().message.c_str());
    if (answer) {
      std::puts(answer->body.c_str());
      if (--left_ == 0) return loop_.stop();
    }
    timer_.start(Millis(100));
  }

  Loop& loop_;
  ReconnectingClient& client_;
  int left_;
  Timer timer_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: poll URL COUNT\n", stderr), 2;
  const char* url = argv[1];
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  auto loop = Loop::create().value();
  auto client = ReconnectingClient::create(*loop, url);
  if (!client) return std::fprintf(stderr, "poll: %s\n", client.error().message.c_str()), 2;
  const Poll poll(*loop, **client, std::atoi(argv[2]));
  loop->run();
  return 0;
}
