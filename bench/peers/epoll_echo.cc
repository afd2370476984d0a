// SPDX-License-Identifier: MIT
// Sends back what comes, on epoll and nothing else: what the kernel alone costs. One read and one
// write an event, into and from one buffer of 256 KiB for all connections; what a connection does
// not take is copied into a block that is used again, and it is not read until that is gone.
//
//     bench_epoll_echo        prints its port on 127.0.0.1 and serves until it is killed
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

void check(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

using Block = std::array<char, kBufferBytes>;
// Those that wait to be used again: as many as were ever needed at once.
std::vector<std::unique_ptr<Block>> idle_blocks;

std::unique_ptr<Block> take_block() {
  if (idle_blocks.empty()) return std::make_unique_for_overwrite<Block>();
  std::unique_ptr<Block> block = std::move(idle_blocks.back());
  idle_blocks.pop_back();
  return block;
}

struct Connection {
  int socket;
  // What it did not take, if anything: from `sent` to `size`.
  std::unique_ptr<Block> rest = {};
  std::size_t sent = 0;
  std::size_t size = 0;
};

void watch(int epoll, int operation, std::uint32_t events, Connection& connection) {
  epoll_event event{.events = events, .data = {.ptr = &connection}};
  check(::epoll_ctl(epoll, operation, connection.socket, &event) == 0, "epoll_ctl");
}

// The functions below say false when the connection is over.

bool read_and_send(int epoll, Connection& connection, Block& buffer) {
  const ssize_t came = ::recv(connection.socket, buffer.data(), buffer.size(), 0);
  if (came < 0) return errno == EAGAIN;
  if (came == 0) return false;
  const ssize_t taken =
      ::send(connection.socket, buffer.data(), static_cast<std::size_t>(came), MSG_NOSIGNAL);
  if (taken < 0 && errno != EAGAIN) return false;
  const ssize_t sent = taken < 0 ? 0 : taken;
  if (sent == came) return true;
  connection.rest = take_block();
  connection.sent = 0;
  connection.size = static_cast<std::size_t>(came - sent);
  std::memcpy(connection.rest->data(), buffer.data() + sent, connection.size);
  watch(epoll, EPOLL_CTL_MOD, EPOLLOUT, connection);
  return true;
}

bool send_rest(int epoll, Connection& connection) {
  const ssize_t taken = ::send(connection.socket, connection.rest->data() + connection.sent,
                               connection.size - connection.sent, MSG_NOSIGNAL);
  if (taken < 0) return errno == EAGAIN;
  connection.sent += static_cast<std::size_t>(taken);
  if (connection.sent < connection.size) return true;
  idle_blocks.push_back(std::move(connection.rest));
  watch(epoll, EPOLL_CTL_MOD, EPOLLIN, connection);
  return true;
}

void accept_all(int epoll, int listener) {
  for (;;) {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return;
    const int on = 1;
    check(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    watch(epoll, EPOLL_CTL_ADD, EPOLLIN, *new Connection{.socket = socket});
  }
}

}  // namespace

int main() {
  Connection listener{.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(::bind(listener.socket, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  check(::listen(listener.socket, SOMAXCONN) == 0, "listen");
  check(::getsockname(listener.socket, reinterpret_cast<sockaddr*>(&address), &size) == 0, "name");
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);

  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, EPOLL_CTL_ADD, EPOLLIN, listener);
  static Block buffer;
  std::array<epoll_event, 1'024> events{};
  for (;;) {
    const int ready = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      auto* connection = static_cast<Connection*>(event.data.ptr);
      if (connection == &listener) {
        accept_all(epoll, listener.socket);
        continue;
      }
      const bool goes_on = (event.events & EPOLLOUT) != 0
                               ? send_rest(epoll, *connection)
                               : read_and_send(epoll, *connection, buffer);
      if (goes_on) continue;
      ::close(connection->socket);
      delete connection;
    }
  }
}
