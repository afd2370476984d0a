// SPDX-License-Identifier: MIT
// The client that measures runs of programs: one thread on epoll, which shares nothing with what it
// measures but the machine. It keeps four runs of /bin/true under way, and meanwhile has an echo
// every millisecond on a connection of its own, which tells for how long the server stands still.
// Prints one JSON object.
//
//     bench_run_load --port PORT [OPTION...]
//       --wire frame|raw        Cleave's frames; that of those who run without being asked for each
//                               (raw_runs.h)                                             [frame]
//       --ids                   four requests with an id on one connection, not four connections
//       --name NAME             a named command, not an argv
//       --seconds S, --warm S   how long is measured, and what is not before           [1, 0.3]
//       --pid PID, --cores S,L  as bench_load has them
//
// Every run must have ended with 0. An echo is sent when it is due, whatever has come back, and
// counts from then. The measured time begins and ends with the reply of an echo.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/bench/machine.h"
#include "cleave/bench/raw_runs.h"
#include "cleave/bin/load/histogram.h"

using namespace cleave::bench;
using cleave::load::Histogram;

namespace {

// ---- Options ------------------------------------------------------------------------------------

struct Options {
  bool raw = false;
  bool ids = false;
  std::string name;
  double seconds = 1;
  double warm = 0.3;
  int port = 0;
  int pid = 0;
  Cores cores;
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&]() -> const char* {
      if (++i == argc) die("%s needs a value", argv[i - 1]);
      return argv[i];
    };
    if (name == "--wire") {
      const std::string_view wire = value();
      if (wire != "frame" && wire != "raw") die("--wire: there is no %s", argv[i]);
      options.raw = wire == "raw";
    } else if (name == "--ids") {
      options.ids = true;
    } else if (name == "--name") {
      options.name = value();
    } else if (name == "--seconds") {
      options.seconds = std::strtod(value(), nullptr);
    } else if (name == "--warm") {
      options.warm = std::strtod(value(), nullptr);
    } else if (name == "--port") {
      options.port = std::atoi(value());
    } else if (name == "--pid") {
      options.pid = std::atoi(value());
    } else if (name == "--cores") {
      options.cores = read_cores(value());
    } else {
      die("there is no option %s", argv[i]);
    }
  }
  if (options.port == 0 || options.pid == 0) die("--port and --pid are needed");
  return options;
}

// ---- The machine --------------------------------------------------------------------------------

// The processor time of the children that the server has waited for, to a hundredth of a second.
Time read_children(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  // The name of the program, in brackets, may have spaces in it; behind it stands field 3.
  std::istringstream words(text.substr(text.rfind(')') + 1));
  constexpr int kBetween = 13;  // fields 3 to 15
  std::string skipped;
  for (int i = 0; i < kBetween; ++i) words >> skipped;
  Time user = 0, system = 0;
  if (!(words >> user >> system)) die("the server's children are not told");
  return (user + system) * (kSecond / ::sysconf(_SC_CLK_TCK));
}

// ---- Connections --------------------------------------------------------------------------------

std::string frame(const std::string& header) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(header.size() >> shift & 0xff));
  }
  return bytes + header;
}

class Connection {
 public:
  explicit Connection(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    check(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
          "connect");
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int socket() const noexcept { return socket_; }

  // Requests are small, and so few of them fit into any socket.
  void send(std::string_view bytes) {
    check(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(bytes.size()),
          "send");
  }
  // What has come; there must be something.
  void receive() {
    std::array<char, 64 * 1024> piece;
    const ssize_t came = ::recv(socket_, piece.data(), piece.size(), 0);
    check(came >= 0, "recv");
    if (came == 0) die("the server has closed a connection");
    received_.append(piece.data(), static_cast<std::size_t>(came));
  }
  // The next so many bytes of it; empty where there are fewer.
  std::string take(std::size_t size) {
    if (received_.size() < size) return {};
    std::string taken = received_.substr(0, size);
    received_.erase(0, size);
    return taken;
  }
  // The header of the next frame, which has no body; empty where it is not whole.
  std::string take_frame() {
    std::uint32_t size = 0;
    if (received_.size() < sizeof size) return {};
    for (unsigned i = 0; i < sizeof size; ++i) {
      size |= std::uint32_t{static_cast<std::uint8_t>(received_[i])} << 8 * i;
    }
    const std::string whole = take(sizeof size + size);
    if (whole.empty()) return {};
    std::string header = whole.substr(sizeof size);
    const bool ok = header.find(R"("status":"ok")") != std::string::npos;
    const std::size_t body = header.find(R"("data_size":)");
    if (!ok || (body != std::string::npos && header[body + 12] != '0')) {
      die("the reply is %s", header.c_str());
    }
    return header;
  }

 private:
  int socket_;
  std::string received_;
};

// ---- The load -----------------------------------------------------------------------------------

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)),
        ping_(options.port) {
    check(epoll_ >= 0 && timer_ >= 0, "epoll_create1, timerfd_create");
    watch(timer_, kTimer);
    watch(ping_.socket(), kPing);
    if (options_.raw) return;
    for (std::size_t place = 0; place < (options_.ids ? 1 : kRunsAtOnce); ++place) {
      connections_.push_back(std::make_unique<Connection>(options_.port));
      watch(connections_[place]->socket(), place);
    }
  }

  void run() {
    const auto after = [begun = now()](double seconds) {
      return begun + static_cast<Time>(seconds * kSecond);
    };
    begin_ = after(options_.warm);
    end_ = after(options_.warm + options_.seconds);
    for (std::size_t i = 0; i < kRunsAtOnce && !options_.raw; ++i) {
      ask(options_.ids ? 0 : i);
    }
    set_timer();
    while (!over_ || under_way_ > 0) {
      const int ready = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()),
                                     kPatienceMilliseconds);
      if (ready == 0) die("the server stands still");
      check(ready > 0 || errno == EINTR, "epoll_wait");
      for (int i = 0; i < ready; ++i) serve(events_[static_cast<std::size_t>(i)].data.u64);
    }
    print();
  }

 private:
  static constexpr int kPatienceMilliseconds = 20'000;
  static constexpr Time kPingEvery = kSecond / 1'000;
  static constexpr std::uint64_t kTimer = 1'000;
  static constexpr std::uint64_t kPing = 1'001;

  // What is known at one end of the measured time.
  struct End {
    Reading reading;
    Time children = 0;
    std::uint64_t runs = 0;
  };

  void watch(int descriptor, std::uint64_t told) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = told}};
    check(::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
  }
  void set_timer() {
    next_due_ = now() + kPingEvery;
    const itimerspec at{
        .it_interval = {.tv_sec = 0, .tv_nsec = kPingEvery},
        .it_value = {.tv_sec = next_due_ / kSecond, .tv_nsec = next_due_ % kSecond}};
    check(::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr) == 0, "timerfd_settime");
  }

  void serve(std::uint64_t told) {
    if (told == kTimer) {
      send_pings();
    } else if (told == kPing) {
      ping_.receive();
      while (!over_ && take_ping()) on_ping();
    } else {
      on_runs(told);
    }
  }

  void ask(std::size_t place) {
    std::string header = options_.name.empty() ? R"({"cmd":"exec","argv":["/bin/true"])"
                                               : R"({"cmd":"exec","name":")" + options_.name + '"';
    if (options_.ids) header += ",\"id\":" + std::to_string(++last_id_);
    connections_[place]->send(frame(header + "}"));
    ++under_way_;
  }
  void on_runs(std::size_t place) {
    connections_[place]->receive();
    for (;;) {
      const std::string header = connections_[place]->take_frame();
      if (header.empty()) return;
      if (header.find(R"("exit_code":0)") == std::string::npos) {
        die("the reply is %s", header.c_str());
      }
      ++runs_;
      --under_way_;
      if (!over_) ask(place);
    }
  }

  void send_pings() {
    std::uint64_t times = 0;
    check(::read(timer_, &times, sizeof times) == sizeof times, "the timer");
    for (; times > 0 && !over_; --times) {
      ping_.send(options_.raw ? "?" : frame(R"({"cmd":"echo"})"));
      pings_.push_back(std::exchange(next_due_, next_due_ + kPingEvery));
    }
  }
  bool take_ping() {
    if (!options_.raw) return !ping_.take_frame().empty();
    const std::string answer = ping_.take(sizeof runs_);
    if (!answer.empty()) std::memcpy(&runs_, answer.data(), answer.size());
    return !answer.empty();
  }
  void on_ping() {
    const Time at = now();
    if (begun_) latency_.record(static_cast<std::uint64_t>(at - pings_.front()));
    pings_.pop_front();
    if (!begun_ && at >= begin_) {
      before_ = read_end();
      begun_ = true;
    } else if (begun_ && at >= end_) {
      after_ = read_end();
      over_ = true;
    }
  }
  End read_end() {
    return {read_machine(options_.cores, options_.pid), read_children(options_.pid), runs_};
  }

  void print() const {
    if (after_.runs == before_.runs) die("no run was over in the measured time");
    const double seconds =
        static_cast<double>(after_.reading.time - before_.reading.time) / kSecond;
    const auto us = [this](double share) {
      return static_cast<double>(latency_.value_at(share)) / 1'000;
    };
    std::printf("{\"messages\":%ju,\"seconds\":%.6f,", std::uintmax_t{after_.runs - before_.runs},
                seconds);
    std::printf("\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"most_us\":%.2f,", us(0.5),
                us(0.99), us(0.999), static_cast<double>(latency_.max()) / 1'000);
    std::printf("\"children_busy\":%.4f,",
                static_cast<double>(after_.children - before_.children) / kSecond / seconds);
    print_machine(before_.reading, after_.reading);
    std::printf("}\n");
  }

  const Options options_;
  int epoll_;
  int timer_;  // when the next echo is due
  std::array<epoll_event, 16> events_{};
  Connection ping_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::uint64_t last_id_ = 0;
  std::size_t under_way_ = 0;  // requests
  std::uint64_t runs_ = 0;     // that are over
  Time begin_ = 0;             // of the measured time, or a little later
  Time end_ = 0;
  bool begun_ = false;
  bool over_ = false;
  std::deque<Time> pings_;  // when those that are under way were due
  Time next_due_ = 0;
  Histogram latency_;
  End before_, after_;
};

}  // namespace

int main(int argc, char** argv) {
  Load(read_options(argc, argv)).run();
}
