// SPDX-License-Identifier: MIT
// How many datagrams a second Cleave's upper answers, against a server that does nothing but
// epoll_wait, recvfrom and sendto. Both run at once, each in a process of its own on core 0; the
// client, on core 1, keeps 32 datagrams of 64 bytes under way with one of them at a time, a second
// each, and begins every round with the other one. The ratio is taken within a round, as a machine
// is never as fast as it was a minute ago.
//
//     bench_datagrams [ROUNDS]        7 and more
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
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
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/log.h"
#include "cleave/bin/log_observer.h"
#include "cleave/bin/observer_pair.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/loop.h"
#include "cleave/core/metrics.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/handlers/upper.h"

using namespace cleave;

namespace {

constexpr std::size_t kWindow = 32;
constexpr std::size_t kDatagramBytes = 64;
constexpr int kRounds = 7;
constexpr std::chrono::milliseconds kRound(1'000);
constexpr std::chrono::milliseconds kWarmUp(300);

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "bench_datagrams: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void pin_to(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  check(::sched_setaffinity(0, sizeof cores, &cores) == 0, "two cores are needed");
}

Fd open_socket(int flags) {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0));
  check(static_cast<bool>(socket), "socket");
  return socket;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// ---- The servers --------------------------------------------------------------------------------

using Announce = std::function<void(std::uint16_t port)>;

void serve_bare(const Announce& announce) {
  const Fd socket = open_socket(SOCK_NONBLOCK);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0, "bind");
  announce(ntohs(address.sin_port));

  const Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {}};
  check(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, socket.get(), &event) == 0, "epoll_ctl");
  std::array<char, 65'536> bytes{};
  for (;;) {
    (void)::epoll_wait(epoll.get(), &event, 1, -1);
    for (;;) {
      sockaddr_in from;
      socklen_t from_size = sizeof from;
      const ssize_t came = ::recvfrom(socket.get(), bytes.data(), bytes.size(), 0,
                                      reinterpret_cast<sockaddr*>(&from), &from_size);
      if (came < 0) break;
      for (char* c = bytes.data(); c != bytes.data() + came; ++c) {
        if (*c >= 'a' && *c <= 'z') *c = static_cast<char>(*c - ('a' - 'A'));
      }
      (void)::sendto(socket.get(), bytes.data(), static_cast<std::size_t>(came), 0,
                     reinterpret_cast<const sockaddr*>(&from), from_size);
    }
  }
}

// Watched as cleaved watches.
void serve_cleave(const Announce& announce) {
  const auto loop = Loop::create().value();
  Log log(STDERR_FILENO, LogFormat::text, LogLevel::info);
  LogObserver log_observer(log);
  Metrics metrics;
  ObserverPair observers(log_observer, metrics);
  Router router;
  add_upper(router);
  Server server(*loop, router, {.observer = &observers});
  const std::string url = server.listen("udp://127.0.0.1:0?wire=raw&cmd=upper").value();
  announce(Endpoint::parse(url).value().port);
  loop->run();
}

// A server in a process of its own, which ends with this object or with this process.
class Process {
 public:
  explicit Process(void (*serve)(const Announce&)) {
    std::array<int, 2> ends{};
    check(::pipe(ends.data()) == 0, "pipe");
    const Fd read_end(ends[0]);
    Fd write_end(ends[1]);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    check(pid_ >= 0, "fork");
    if (pid_ == 0) {
      (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) std::_Exit(1);
      pin_to(0);
      serve([&write_end](std::uint16_t port) {
        check(::write(write_end.get(), &port, sizeof port) == sizeof port, "write");
      });
      std::_Exit(1);
    }
    write_end.reset();
    check(::read(read_end.get(), &port_, sizeof port_) == sizeof port_, "a server did not start");
  }
  ~Process() {
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  // Seconds of processor time that it has used.
  [[nodiscard]] double processor_time() const {
    clockid_t clock = 0;
    timespec used{};
    check(::clock_getcpuclockid(pid_, &clock) == 0 && ::clock_gettime(clock, &used) == 0, "clock");
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
  }

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
};

// ---- The client ---------------------------------------------------------------------------------

// Batches on this side, so that the server is the slower one.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(open_socket(0)) {
    const sockaddr_in address = loopback(port);
    check(
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
        "connect");
    const timeval patience{.tv_sec = 0, .tv_usec = 200'000};
    check(::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0,
          "setsockopt");
    request_.fill('x');
    for (std::size_t i = 0; i < kWindow; ++i) {
      out_piece_ = {request_.data(), request_.size()};
      in_pieces_[i] = {replies_[i].data(), replies_[i].size()};
      out_[i].msg_hdr.msg_iov = &out_piece_;
      out_[i].msg_hdr.msg_iovlen = 1;
      in_[i].msg_hdr.msg_iov = &in_pieces_[i];
      in_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  struct Run {
    double answers;
    double seconds;
  };
  // Keeps the window full for so long. Datagrams that are lost cost 200 ms.
  Run run(std::chrono::milliseconds time) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    std::uint64_t answers = 0;
    send(kWindow);
    std::size_t under_way = kWindow;
    Clock::time_point now = start;
    while (now - start < time || under_way > 0) {
      const int came = ::recvmmsg(socket_.get(), in_.data(), kWindow, MSG_WAITFORONE, nullptr);
      now = Clock::now();
      if (came < 0) {
        check(errno == EAGAIN || errno == EINTR, "recvmmsg");
        lost_ += under_way;
        under_way = 0;
      }
      for (int i = 0; i < came; ++i) {
        const auto at = static_cast<std::size_t>(i);
        check(in_[at].msg_len == kDatagramBytes && replies_[at][kDatagramBytes - 1] == 'X',
              "a wrong answer");
      }
      if (came > 0) {
        answers += static_cast<std::uint64_t>(came);
        under_way -= static_cast<std::size_t>(came);
      }
      if (now - start >= time) continue;
      send(kWindow - under_way);
      under_way = kWindow;
    }
    return {static_cast<double>(answers), std::chrono::duration<double>(now - start).count()};
  }

  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  void send(std::size_t count) {
    const int sent = ::sendmmsg(socket_.get(), out_.data(), static_cast<unsigned int>(count), 0);
    check(sent == static_cast<int>(count), "sendmmsg");
  }

  Fd socket_;
  std::uint64_t lost_ = 0;
  std::array<char, kDatagramBytes> request_{};
  iovec out_piece_{};
  std::array<mmsghdr, kWindow> out_{};
  std::array<std::array<char, 2 * kDatagramBytes>, kWindow> replies_{};
  std::array<iovec, kWindow> in_pieces_{};
  std::array<mmsghdr, kWindow> in_{};
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// A server, its client, and what was measured of them round by round.
struct Side {
  explicit Side(void (*serve)(const Announce&)) : process(serve) {}

  void run(std::chrono::milliseconds time) {
    const double before = process.processor_time();
    const Client::Run done = client.run(time);
    rates.push_back(done.answers / done.seconds);
    costs.push_back((process.processor_time() - before) / done.answers * 1e6);
  }
  void print(const char* name) const {
    std::printf("  %-29s %8.0f/s, %.2f us of processor time each, %ju lost\n", name, median(rates),
                median(costs), static_cast<std::uintmax_t>(client.lost()));
  }

  Process process;
  Client client{process.port()};
  std::vector<double> rates;
  std::vector<double> costs;
};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(kRounds, std::atoi(argv[1])) : kRounds;
  Side bare(serve_bare);
  Side cleave(serve_cleave);
  pin_to(1);
  (void)bare.client.run(kWarmUp);
  (void)cleave.client.run(kWarmUp);

  std::vector<double> ratios;
  std::vector<double> cost_ratios;
  for (int round = 0; round < rounds; ++round) {
    if (round % 2 == 0) bare.run(kRound);
    cleave.run(kRound);
    if (round % 2 == 1) bare.run(kRound);
    ratios.push_back(cleave.rates.back() / bare.rates.back());
    cost_ratios.push_back(cleave.costs.back() / bare.costs.back());
    std::printf("round %d: bare %.0f/s %.2f us, cleave %.0f/s %.2f us, ratio %.3f\n", round + 1,
                bare.rates.back(), bare.costs.back(), cleave.rates.back(), cleave.costs.back(),
                ratios.back());
  }
  std::printf("upper on datagrams of %zu bytes, %zu under way, medians of %d rounds\n",
              kDatagramBytes, kWindow, rounds);
  bare.print("bare epoll, recvfrom, sendto");
  cleave.print("cleave");
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  std::printf("  cleave / bare: rate %.3f (%.3f to %.3f), processor time %.3f\n", median(ratios),
              *least, *most, median(cost_ratios));
}
