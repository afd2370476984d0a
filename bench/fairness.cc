// SPDX-License-Identifier: MIT
// How long an echo takes beside others who take what they can get: an upload without an end, a
// flood of tiny requests, a thousand readers that take a little now and then. The server is a
// process on core 0, the load another one and the echo this one, both on core 1: part of what an
// echo waits for is therefore the load's own process. Rounds go through all loads, so that each has
// the same machine.
//
//     bench_fairness [ROUNDS]        5 and more
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/handlers/echo.h"
#include "cleave/protocol/encoder.h"

using namespace cleave;

namespace {

constexpr int kRounds = 5;
constexpr int kEchoes = 2'000;
constexpr int kReaders = 1'000;

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "bench_fairness: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void pin_to(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  (void)::sched_setaffinity(0, sizeof cores, &cores);
}

std::string frame(std::string_view cmd, std::uint64_t size, std::string_view body = {}) {
  std::string bytes;
  check(append_head(bytes, {.cmd = cmd, .data_size = size}).has_value(), "append_head");
  return bytes.append(body);
}

Fd connect_to(std::uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
        "connect");
  return socket;
}

// A child that runs until this process ends it, or ends itself.
class Child {
 public:
  Child(int core, const std::function<void()>& run) : pid_(::fork()) {
    check(pid_ >= 0, "fork");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin_to(core);
    run();
    std::_Exit(0);
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

 private:
  pid_t pid_;
};

// Takes its body and forgets it.
class Sink final : public Handler {
 public:
  explicit Sink(ReplyToken token) : token_(std::move(token)) {}
  void on_body(Chunk) override {}
  void on_end() override { std::move(token_).ok(); }

 private:
  ReplyToken token_;
};

void serve(int port_to) {
  auto loop = Loop::create().value();
  Router router;
  add_echo(router);
  router.add("sink", {.summary = "forgets its body"},
             streaming([](const Request&, ReplyToken token) {
               return std::make_shared<Sink>(std::move(token));
             }));
  Server server(*loop, router);
  const auto url = server.listen("tcp://127.0.0.1:0");
  check(url.has_value(), "listen");
  const std::uint16_t port = Endpoint::parse(*url).value().port;
  check(::write(port_to, &port, sizeof port) == sizeof port, "write");
  loop->run();
}

// ---- Loads --------------------------------------------------------------------------------------

void upload(std::uint16_t port) {
  const Fd socket = connect_to(port);
  const std::string head = frame("sink", std::uint64_t{1} << 62);
  const std::string block(1 << 20, 'u');
  (void)!::send(socket.get(), head.data(), head.size(), MSG_NOSIGNAL);
  while (::send(socket.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
  }
}

void flood(std::uint16_t port) {
  const Fd socket = connect_to(port);
  std::string requests;
  while (requests.size() < 256 * 1024) requests += frame("echo", 0);
  std::vector<char> replies(1 << 20);
  std::size_t at = 0;
  for (;;) {
    pollfd ready{.fd = socket.get(), .events = POLLIN | POLLOUT, .revents = 0};
    if (::poll(&ready, 1, -1) < 0 || (ready.revents & POLLHUP) != 0) return;
    if ((ready.revents & POLLIN) != 0) {
      (void)!::recv(socket.get(), replies.data(), replies.size(), MSG_DONTWAIT);
    }
    if ((ready.revents & POLLOUT) == 0) continue;
    const ssize_t sent = ::send(socket.get(), requests.data() + at, requests.size() - at,
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) at = (at + static_cast<std::size_t>(sent)) % requests.size();
  }
}

void slow_readers(std::uint16_t port) {
  const std::string request = frame("echo", 200'000, std::string(200'000, 's'));
  std::vector<Fd> sockets;
  for (int i = 0; i < kReaders; ++i) {
    sockets.push_back(connect_to(port));
    // As far as it goes: the server stops reading when its reply is not read.
    (void)!::send(sockets.back().get(), request.data(), request.size(),
                  MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  std::array<char, 100> some{};
  for (;;) {
    for (const Fd& socket : sockets) {
      (void)!::recv(socket.get(), some.data(), some.size(), MSG_DONTWAIT);
    }
    ::usleep(10'000);
  }
}

// ---- The echo -----------------------------------------------------------------------------------

struct Times {
  double p50, p99, worst;  // microseconds
};

Times measure(std::uint16_t port) {
  const Fd socket = connect_to(port);
  const std::string request = frame("echo", 64, std::string(64, 'e'));
  std::vector<double> times;
  for (int i = 0; i < kEchoes; ++i) {
    const auto start = std::chrono::steady_clock::now();
    check(::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(request.size()),
          "send");
    // A reply of this size comes whole.
    std::array<char, 1'024> reply{};
    check(::recv(socket.get(), reply.data(), reply.size(), 0) > 64, "recv");
    times.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  const auto at = [&times](double part) {
    return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
  };
  return {at(0.5), at(0.99), times.back()};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(kRounds, std::atoi(argv[1])) : kRounds;
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  std::array<int, 2> pipe{};
  check(::pipe(pipe.data()) == 0, "pipe");
  const Child server(0, [&pipe] { serve(pipe[1]); });
  std::uint16_t port = 0;
  check(::read(pipe[0], &port, sizeof port) == sizeof port, "read");
  pin_to(1);
  (void)measure(port);  // warm

  struct Load {
    const char* name;
    std::function<void()> run;
    std::vector<Times> rounds = {};
  };
  std::array loads = {Load{"nobody", nullptr}, Load{"an upload", [port] { upload(port); }},
                      Load{"a flood of tiny requests", [port] { flood(port); }},
                      Load{"1,000 slow readers", [port] { slow_readers(port); }}};
  for (int round = 0; round < rounds; ++round) {
    for (Load& load : loads) {
      std::optional<Child> child;
      if (load.run) {
        child.emplace(1, load.run);
        ::usleep(300'000);  // until it is at work
      }
      load.rounds.push_back(measure(port));
    }
  }
  std::printf(
      "an echo of 64 bytes beside      p50 us   p99 us (least to most)   worst us; medians of %d "
      "rounds\n",
      rounds);
  for (const Load& load : loads) {
    std::vector<double> p50, p99, worst;
    for (const Times& times : load.rounds) {
      p50.push_back(times.p50);
      p99.push_back(times.p99);
      worst.push_back(times.worst);
    }
    const auto [least, most] = std::minmax_element(p99.begin(), p99.end());
    std::printf("  %-28s %8.0f %8.0f (%.0f to %.0f) %14.0f\n", load.name, median(p50), median(p99),
                *least, *most, median(worst));
  }
}
