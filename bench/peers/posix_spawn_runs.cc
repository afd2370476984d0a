// SPDX-License-Identifier: MIT
// Runs programs by posix_spawn and collects what they write, with nothing else around it: the
// yardstick of `exec`. A run is a pipe, a process that has it as its outputs, reads until its end,
// and waitpid; there are no requests (raw_runs.h). It stays as it is while Cleave is tuned.
//
//     bench_posix_spawn_runs BYTES     holds so much memory, prints its port on 127.0.0.1 and
//                                      serves until it is killed
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cleave/bench/raw_runs.h"

namespace {

using cleave::bench::kProgram;
using cleave::bench::kRunsAtOnce;

void check(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

struct Run {
  pid_t pid = 0;  // 0: there is none
  int output = -1;
  std::string collected;
};

// What epoll tells: the number of a run, or a socket behind all runs.
constexpr std::uint64_t kSockets = kRunsAtOnce;

class Runner {
 public:
  explicit Runner(int listener) : listener_(listener), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    check(epoll_ >= 0, "epoll_create1");
    watch(listener_, kSockets + static_cast<std::uint64_t>(listener_));
  }

  [[noreturn]] void serve() {
    std::array<epoll_event, 64> events{};
    for (;;) {
      const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < ready; ++i) {
        const std::uint64_t told = events[static_cast<std::size_t>(i)].data.u64;
        if (told < kSockets) {
          collect(told);
        } else if (const int socket = static_cast<int>(told - kSockets); socket == listener_) {
          accept();
        } else {
          answer(socket);
        }
      }
    }
  }

 private:
  void watch(int descriptor, std::uint64_t told) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = told}};
    check(::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
  }
  // What is closed here alone may still be told of: a child has it until its exec is through, and
  // posix_spawn does not wait for that.
  void close(int descriptor) {
    check(::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr) == 0, "epoll_ctl");
    ::close(descriptor);
  }
  void accept() {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    watch(socket, kSockets + static_cast<std::uint64_t>(socket));
    ++connections_;
    for (std::size_t place = 0; place < runs_.size(); ++place) {
      if (runs_[place].pid == 0) start(place);
    }
  }
  void answer(int socket) {
    std::array<char, 64> asked{};
    ssize_t left = ::recv(socket, asked.data(), asked.size(), 0);
    bool alive = left > 0;
    for (; alive && left > 0; --left) {
      alive = ::send(socket, &over_, sizeof over_, MSG_NOSIGNAL) == sizeof over_;
    }
    if (alive) return;
    close(socket);
    --connections_;
  }

  void start(std::size_t place) {
    Run& run = runs_[place];
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    std::string program = kProgram;
    std::array<char*, 2> argv{program.data(), nullptr};
    errno = ::posix_spawn(&run.pid, kProgram, &actions, nullptr, argv.data(), environ);
    check(errno == 0, "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    run.output = ends[0];
    run.collected.clear();
    watch(run.output, place);
  }
  void collect(std::size_t place) {
    Run& run = runs_[place];
    std::array<char, 64 * 1024> piece;
    const ssize_t came = ::read(run.output, piece.data(), piece.size());
    check(came >= 0, "read");
    if (came > 0) {
      run.collected.append(piece.data(), static_cast<std::size_t>(came));
      return;
    }
    close(run.output);
    int status = 0;
    check(::waitpid(run.pid, &status, 0) == run.pid && status == 0, kProgram);
    run.pid = 0;
    ++over_;
    if (connections_ > 0) start(place);
  }

  int listener_;
  int epoll_;
  std::array<Run, kRunsAtOnce> runs_;
  std::size_t connections_ = 0;
  std::uint64_t over_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  check(argc == 2, "how many bytes are to be held?");
  const cleave::bench::HeldMemory memory(argv[1]);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  check(::listen(listener, SOMAXCONN) == 0, "listen");
  check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0, "name");
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  Runner(listener).serve();
}
