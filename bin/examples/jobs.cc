// SPDX-License-Identifier: MIT
// A queue of jobs that compute: a handler keeps its token, the work is done in the pool, and the
// answer given when it is done. A job whose request is cancelled, or too late, stops.
//
//     $ build/bin/example_jobs &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ cleave call factor --header n=9007199254740991
//     6361 69431 20394401{}
#include <atomic>
#include <cstdio>
#include <deque>

#include "cleave/core/server.h"

using namespace cleave;

namespace {

constexpr std::int64_t kLargest = (std::int64_t{1} << 53) - 1;

class Jobs {
 public:
  static constexpr std::size_t kAtOnce = 2;  // a pool's half has as many threads
  static constexpr std::size_t kWaiting = 64;

  explicit Jobs(Loop& loop) : loop_(loop) {}

  void submit(std::int64_t number, ReplyToken token) {
    if (waiting_.size() >= kWaiting) {
      return std::move(token).fail(
          {Errc::busy, std::to_string(kWaiting) + " jobs wait already; try again"});
    }
    auto stop = std::make_shared<std::atomic<bool>>(false);
    token.on_cancel([this, stop](CancelReason) {
      *stop = true;
      std::erase_if(waiting_, [&stop](const Job& job) { return job.stop == stop; });
    });
    waiting_.push_back({number, std::move(token), std::move(stop)});
    begin();
  }

 private:
  // A token that goes unused answers with the reason, once there is one.
  struct Job {
    std::int64_t number;
    ReplyToken token;
    std::shared_ptr<std::atomic<bool>> stop;
  };

  void begin() {
    while (running_ < kAtOnce && !waiting_.empty()) {
      Job job = std::move(waiting_.front());
      waiting_.pop_front();
      ++running_;
      auto work = [number = job.number, stop = job.stop] { return factors(number, *stop); };
      loop_.offload(std::move(work), [this, job = std::move(job)](std::string factors) mutable {
        --running_;
        if (!*job.stop) std::move(job.token).ok({}, Buffer::own(std::move(factors)));
        begin();
      });
    }
  }

  static std::string factors(std::int64_t n, const std::atomic<bool>& stop) {
    std::string found;
    for (std::int64_t each = 2; n > 1 && !stop;) {
      if (each * each > n) each = n;
      for (; n % each == 0; n /= each) found += (found.empty() ? "" : " ") + std::to_string(each);
      ++each;
    }
    return found;
  }

  Loop& loop_;
  std::deque<Job> waiting_;
  std::size_t running_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Jobs jobs(*loop);
  Router router;
  Argument n{.name = "n", .type = Argument::Type::integer, .min = 2, .max = kLargest};
  n.summary = "what to factor";
  n.required = true;
  router.add("factor", {.summary = "the prime factors of n", .arguments = {n}},
             later([&jobs](const Request& request, Buffer, ReplyToken token) {
               jobs.submit(request.integer("n", 2, kLargest).value(), std::move(token));
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "jobs: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
