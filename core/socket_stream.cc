// SPDX-License-Identifier: MIT
#include "cleave/core/socket_stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cleave/core/send_file.h"
#include "cleave/core/socket_address.h"

namespace cleave {
inline namespace v0 {
namespace {

Stream::Moved moved(ssize_t count) {
  if (count >= 0) return {Stream::Outcome::done, static_cast<std::size_t>(count)};
  if (errno == EAGAIN || errno == EINTR) return {Stream::Outcome::would_block, 0};
  return {Stream::Outcome::gone, 0};
}

void set(const Fd& socket, int level, int name, int value) {
  (void)::setsockopt(socket.get(), level, name, &value, sizeof value);
}

}  // namespace

Result<std::unique_ptr<Stream>> SocketStream::adopt(Loop& loop, Fd socket,
                                                    const SocketOptions& options) {
  // On a local socket these fail, and are not needed.
  if (options.no_delay) set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.keep_alive) {
    // About two minutes of silence.
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
  }
  const int fd = socket.get();
  std::unique_ptr<SocketStream> stream(new SocketStream(std::move(socket)));
  Result<Watcher> watcher = Watcher::create(
      loop, fd, [self = stream.get()](Watcher::Events events) { self->on_watched(events); });
  if (!watcher) return fail(std::move(watcher.error()));
  stream->watcher_ = std::make_unique<Watcher>(std::move(*watcher));
  return stream;
}

SocketStream::~SocketStream() {
  watcher_.reset();
}

void SocketStream::watch(Interest interest) {
  hangup_ = interest.hangup;
  // Watching for priority data alone still tells a reset, without spinning after an end of input
  // as watching for that would (measured on libuv 1.44.2).
  const bool nothing = !interest.read && !interest.write && !interest.hangup;
  watcher_->watch({.readable = interest.read,
                   .writable = interest.write,
                   .hangup = interest.hangup,
                   .priority = nothing});
}

void SocketStream::on_watched(Watcher::Events events) {
  // Errors come as readable and writable where either is watched: the read or the write says what
  // it is, and gives the bytes that came before it.
  if (events.readable || events.writable) {
    return events_->on_ready(events.readable, events.writable);
  }
  if (events.error) return events_->on_hangup(true);
  if (events.priority) {
    // Urgent data, which nobody uses and which stays until it is taken.
    char urgent = 0;
    (void)::recv(socket_.get(), &urgent, 1, MSG_OOB);
  }
  if (events.hangup && std::exchange(hangup_, false)) events_->on_hangup(false);
}

Stream::Moved SocketStream::read(std::span<char> into) {
  const Moved result = moved(::recv(socket_.get(), into.data(), into.size(), 0));
  if (result.outcome == Outcome::done && result.bytes == 0) return {Outcome::end, 0};
  return result;
}

bool SocketStream::at_end() {
  char next = 0;
  return ::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

Stream::Moved SocketStream::write(std::span<const std::string_view> pieces) {
  std::array<iovec, 64> vectors;
  const std::size_t count = std::min(pieces.size(), vectors.size());
  for (std::size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  return moved(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL));
}

Stream::Moved SocketStream::send_file(int fd, std::uint64_t offset, std::size_t length) {
  return cleave::send_file(socket_.get(), fd, offset, length);
}

void SocketStream::shutdown_write() {
  (void)::shutdown(socket_.get(), SHUT_WR);
}

void SocketStream::reset_on_close() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Peer SocketStream::peer() const {
  SocketAddress address;
  socklen_t size = sizeof address.storage;
  if (::getpeername(socket_.get(), address.any(), &size) != 0) return {"unknown"};
  return {address.text()};
}

// ---- SocketConnector ----------------------------------------------------------------------------

SocketConnector::SocketConnector(Loop& loop, Done done)
    : loop_(loop), done_(std::move(done)), timer_(loop, [this] {
        finish(fail(Errc::unavailable, "the server did not answer in time"));
      }) {}

std::unique_ptr<SocketConnector> SocketConnector::start(Loop& loop, const Endpoint& endpoint,
                                                        Millis timeout, Done done) {
  std::unique_ptr<SocketConnector> self(new SocketConnector(loop, std::move(done)));
  const auto fail_later = [&](std::string message) {
    self->later_ = fail(Errc::unavailable, std::move(message));
    self->timer_ =
        Timer(loop, [connector = self.get()] { connector->finish(std::move(connector->later_)); });
    self->timer_.start(Millis(0));
  };
  const Result<SocketAddress> address = SocketAddress::from(endpoint);
  if (!address) {
    fail_later(address.error().message);
    return self;
  }
  self->socket_ = Fd(::socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = self->socket_.get();
  if (fd < 0 || (::connect(fd, address->any(), address->size()) != 0 && errno != EINPROGRESS)) {
    fail_later("cannot connect to " + endpoint.url() + ": " + std::strerror(errno));
    return self;
  }
  Result<Watcher> watcher =
      Watcher::create(loop, fd, [connector = self.get(), url = endpoint.url()](Watcher::Events) {
        int error = 0;
        socklen_t size = sizeof error;
        (void)::getsockopt(connector->socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        connector->watcher_.reset();
        if (error != 0) {
          return connector->finish(
              fail(Errc::unavailable, "cannot connect to " + url + ": " + std::strerror(error)));
        }
        connector->finish(SocketStream::adopt(connector->loop_, std::move(connector->socket_)));
      });
  if (!watcher) {
    fail_later(watcher.error().message);
    return self;
  }
  watcher->watch({.writable = true});
  self->watcher_ = std::make_unique<Watcher>(std::move(*watcher));
  self->timer_.start(timeout);
  return self;
}

void SocketConnector::finish(Result<std::unique_ptr<Stream>> result) {
  timer_.stop();
  watcher_.reset();
  Done done = std::move(done_);
  done(std::move(result));  // may destroy this
}

}  // namespace v0
}  // namespace cleave
