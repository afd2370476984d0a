// SPDX-License-Identifier: MIT
// A framed echo on libevent, as its manual teaches: bufferevents, and bodies that are moved from
// the input to the output without a copy of their own.
//
//     bench_libevent_framed        prints its port on 127.0.0.1 and serves until it is killed
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "cleave/bench/peers/frame_head.h"

using cleave::bench::Asked;
using cleave::bench::length_of;
using cleave::bench::read_echo;

namespace {

constexpr std::size_t kHeaderBytes = 64 * 1024;
// Replies that wait for a reader: beyond that it is not read from.
constexpr std::size_t kOutputBytes = 1024 * 1024;

struct Connection {
  std::uint64_t body_left = 0;  // of the reply that has begun
};

void end(bufferevent* events, Connection* connection) {
  bufferevent_free(events);
  delete connection;
}

// False where the input makes no sense. Takes all that has come, and nothing more while the replies
// are not read.
bool answer(Connection& connection, evbuffer* input, evbuffer* output) {
  for (;;) {
    if (evbuffer_get_length(output) > kOutputBytes) return true;
    const std::size_t come = evbuffer_get_length(input);
    if (connection.body_left > 0) {
      if (come == 0) return true;
      const std::size_t part = connection.body_left < come ? connection.body_left : come;
      connection.body_left -= part;
      evbuffer_remove_buffer(input, output, part);
      continue;
    }
    std::array<unsigned char, 4> length{};
    if (evbuffer_copyout(input, length.data(), length.size()) != 4) return true;
    const std::size_t size = length_of(length.data());
    if (size > kHeaderBytes) return false;
    if (come < 4 + size) return true;
    const auto* frame =
        reinterpret_cast<const char*>(evbuffer_pullup(input, static_cast<ev_ssize_t>(4 + size)));
    const Asked asked = read_echo(frame + 4, size);
    if (!asked.good) return false;
    evbuffer_drain(input, 4 + size);
    evbuffer_add(output, asked.reply_head.data(), asked.reply_head.size());
    connection.body_left = asked.body_bytes;
  }
}

void on_input(bufferevent* events, void* context) {
  auto* connection = static_cast<Connection*>(context);
  evbuffer* output = bufferevent_get_output(events);
  if (!answer(*connection, bufferevent_get_input(events), output)) {
    end(events, connection);
  } else if (evbuffer_get_length(output) > kOutputBytes) {
    bufferevent_disable(events, EV_READ);
  }
}

// All that waited has gone: what has come meanwhile is answered.
void on_output_empty(bufferevent* events, void* context) {
  if ((bufferevent_get_enabled(events) & EV_READ) != 0) return;
  bufferevent_enable(events, EV_READ);
  on_input(events, context);
}

void on_end(bufferevent* events, short, void* context) {
  end(events, static_cast<Connection*>(context));
}

void on_connection(evconnlistener* listener, evutil_socket_t socket, sockaddr*, int, void*) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bufferevent* events =
      bufferevent_socket_new(evconnlistener_get_base(listener), socket, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(events, on_input, on_output_empty, on_end, new Connection);
  bufferevent_enable(events, EV_READ | EV_WRITE);
}

}  // namespace

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  event_base* base = event_base_new();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  evconnlistener* listener =
      evconnlistener_new_bind(base, on_connection, nullptr, LEV_OPT_CLOSE_ON_FREE, SOMAXCONN,
                              reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (listener == nullptr || ::getsockname(evconnlistener_get_fd(listener),
                                           reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("bench_libevent_framed");
    return 1;
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  event_base_dispatch(base);
}
