// SPDX-License-Identifier: MIT
#include "cleave/core/socket_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cleave/core/file_cache.h"
#include "cleave/core/peer_credentials.h"
#include "cleave/core/send_file.h"
#include "cleave/core/socket_option.h"

namespace cleave {
inline namespace v0 {
namespace {

Stream::Moved moved(ssize_t count) {
  if (count >= 0) return {Stream::Outcome::done, static_cast<std::size_t>(count)};
  if (errno == EAGAIN || errno == EINTR) return {Stream::Outcome::would_block, 0};
  return {Stream::Outcome::gone, 0};
}

// A local connection does not inherit them from its listener, as a TCP one does.
void set_buffers(int fd, const SocketOptions& options) {
  const auto set = [fd](int name, const std::optional<std::uint32_t>& bytes) {
    if (bytes) (void)set_socket_option(fd, SOL_SOCKET, name, static_cast<int>(*bytes));
  };
  set(SO_RCVBUF, options.receive_buffer);
  set(SO_SNDBUF, options.send_buffer);
}

// Our end.
SocketAddress own_address(int fd) {
  SocketAddress address;
  socklen_t size = sizeof address.storage;
  (void)::getsockname(fd, address.any(), &size);
  return address;
}

}  // namespace

void SocketStream::set_tcp_options(int fd, const SocketOptions& options) {
  (void)set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, options.no_delay ? 1 : 0);
  (void)set_socket_option(fd, SOL_SOCKET, SO_KEEPALIVE, options.keep_alive ? 1 : 0);
  if (!options.keep_alive) return;
  // About two minutes of silence.
  (void)set_socket_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  (void)set_socket_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
  (void)set_socket_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

Result<std::unique_ptr<Stream>> SocketStream::adopt(Loop& loop, Fd socket,
                                                    const SocketOptions& options) {
  const int fd = socket.get();
  std::unique_ptr<SocketStream> stream(new SocketStream(std::move(socket)));
  if (stream->local_) {
    set_buffers(fd, options);
  } else {
    set_tcp_options(fd, options);
  }
  return watched(loop, std::move(stream));
}

Result<std::unique_ptr<Stream>> SocketStream::accepted(Loop& loop, Fd socket,
                                                       const SocketOptions& options) {
#ifdef __linux__
  const int fd = socket.get();
  std::unique_ptr<SocketStream> stream(new SocketStream(std::move(socket)));
  if (stream->local_) {
    set_buffers(fd, options);
  } else {
    // Whoever connected before the listener had its options may live without the others.
    (void)set_socket_option(fd, IPPROTO_TCP, TCP_NODELAY, options.no_delay ? 1 : 0);
  }
  return watched(loop, std::move(stream));
#else
  return adopt(loop, std::move(socket), options);
#endif
}

Result<std::unique_ptr<Stream>> SocketStream::watched(Loop& loop,
                                                      std::unique_ptr<SocketStream> stream) {
  Result<Watcher> watcher =
      Watcher::create(loop, stream->socket_.get(),
                      [self = stream.get()](Watcher::Events events) { self->on_watched(events); });
  if (!watcher) return fail(std::move(watcher.error()));
  stream->watcher_ = std::move(*watcher);
  return stream;
}

SocketStream::SocketStream(Fd socket) noexcept : socket_(std::move(socket)) {
  const int fd = socket_.get();
  socklen_t size = sizeof remote_;
  const bool known = ::getpeername(fd, reinterpret_cast<sockaddr*>(&remote_), &size) == 0;
  const bool remote =
      known && (remote_.v4.sin_family == AF_INET || remote_.v4.sin_family == AF_INET6);
  // A connection that was reset already has no peer.
  local_ = !remote && own_address(fd).family() == AF_UNIX;
}

SocketStream::~SocketStream() {
  watcher_.reset();
}

void SocketStream::watch(Interest interest) {
  interest_ = interest;
  // Watching for priority data alone still tells a reset, without spinning after an end of input
  // as watching for that would (measured on libuv 1.44.2).
  const bool nothing = !interest.read && !interest.write && !interest.hangup;
  watcher_->watch({.readable = interest.read,
                   .writable = interest.write,
                   .hangup = interest.hangup,
                   .priority = nothing});
}

void SocketStream::on_watched(Watcher::Events events) {
  if (events.readable || events.writable) {
    return events_->on_ready(events.readable, events.writable);
  }
  if (events.error) return on_error();
  if (events.priority) {
    // Urgent data, which nobody uses and which stays until it is taken.
    char urgent = 0;
    (void)::recv(socket_.get(), &urgent, 1, MSG_OOB);
  }
  if (events.hangup) tell_hangup();
}

// A reset, or a local peer that has closed. The watcher has stopped by itself.
void SocketStream::on_error() {
  // Where it is to be read, the read says what it is, and gives the bytes that came before it.
  if (interest_.read) return events_->on_ready(true, false);
  if (interest_.write || input_ended_ || !local_) return events_->on_hangup(true);
  // All that can still come from here is what was sent before. It is read when there is room for
  // it; until then nothing is watched.
  tell_hangup();
}

void SocketStream::tell_hangup() {
  if (!interest_.hangup) return;
  interest_.hangup = false;
  watch(interest_);  // it stays so, and would be told in every turn
  events_->on_hangup(false);
}

Stream::Moved SocketStream::read(std::span<char> into) {
  const Moved result = moved(::recv(socket_.get(), into.data(), into.size(), 0));
  if (result.outcome == Outcome::done && result.bytes == 0) {
    input_ended_ = true;
    return {Outcome::end, 0};
  }
  return result;
}

bool SocketStream::at_end() {
  char next = 0;
  return ::recv(socket_.get(), &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

Stream::Moved SocketStream::write(std::span<const std::string_view> pieces) {
  if (pieces.size() == 1) {
    return moved(::send(socket_.get(), pieces[0].data(), pieces[0].size(), MSG_NOSIGNAL));
  }
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

bool SocketStream::file_is_cached(int fd, std::uint64_t offset, std::size_t length) {
  return is_cached(fd, offset, length);
}

void SocketStream::shutdown_write() {
  (void)::shutdown(socket_.get(), SHUT_WR);
}

void SocketStream::reset_on_close() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void SocketStream::give_up_after(Millis silence) {
  if (!local_) set_user_timeout(socket_.get(), silence);
}

Peer SocketStream::peer() const {
  const int fd = socket_.get();
  if (local_) {
    return {.address = "unix",
            .local_address = own_address(fd).path(),
            .credentials = peer_credentials(fd)};
  }
  if (remote_.v4.sin_family == 0) return {"unknown"};
  SocketAddress address;
  std::memcpy(&address.storage, &remote_, sizeof remote_);
  return {.address = address.text(), .local_address = own_address(fd).text()};
}

// ---- SocketConnector ----------------------------------------------------------------------------

namespace {

// Between two attempts to connect to a local socket that is not accepted from: the system would
// make one wait there, and does not tell when there is room.
constexpr Millis kAgain(10);

}  // namespace

SocketConnector::SocketConnector(Loop& loop, const Endpoint& endpoint, Done done)
    : loop_(loop),
      endpoint_(endpoint),
      done_(std::move(done)),
      attempt_(loop, [this] { attempt(); }),
      timeout_(loop,
               [this] { finish(fail(Errc::unavailable, "the server did not answer in time")); }) {}

std::unique_ptr<SocketConnector> SocketConnector::start(Loop& loop, const Endpoint& endpoint,
                                                        Millis timeout, Done done) {
  std::unique_ptr<SocketConnector> self(new SocketConnector(loop, endpoint, std::move(done)));
  self->timeout_.start(timeout);
  self->attempt_.start(Millis(0));  // which may be the end of it, and `done` is called later
  return self;
}

Result<void> SocketConnector::open() {
  if (endpoint_.is_datagram()) {
    return fail(Errc::invalid_argument,
                "cannot connect to " + endpoint_.url() + ": datagrams are taken there");
  }
  Result<SocketAddress> address = SocketAddress::from(endpoint_);
  if (!address) return fail(std::move(address.error()));
  address_ = *address;
  socket_ = Fd(::socket(address_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return fail(socket_error("connect to", endpoint_));
  if (auto done = set_buffers(socket_.get(), endpoint_); !done) return done;
  Result<Watcher> watcher = Watcher::create(loop_, socket_.get(), [this](Watcher::Events) {
    answered(socket_option(socket_.get(), SOL_SOCKET, SO_ERROR).value_or(EIO));
  });
  if (!watcher) return fail(std::move(watcher.error()));
  watcher_ = std::make_unique<Watcher>(std::move(*watcher));
  return {};
}

void SocketConnector::attempt() {
  if (!socket_) {
    if (Result<void> opened = open(); !opened) return finish(fail(std::move(opened.error())));
  }
  if (::connect(socket_.get(), address_.any(), address_.size()) == 0) return answered(0);
  if (errno == EINPROGRESS) return watcher_->watch({.writable = true});
  if (errno == EAGAIN && address_.family() == AF_UNIX) return attempt_.start(kAgain);
  answered(errno);
}

// `number` is an errno, or 0.
void SocketConnector::answered(int number) {
  if (number != 0) {
    errno = number;
    Error error = socket_error("connect to", endpoint_);
    if (error.code != Errc::permission_denied) error.code = Errc::unavailable;
    return finish(fail(std::move(error)));
  }
  watcher_.reset();
  finish(SocketStream::adopt(loop_, std::move(socket_), endpoint_.options));
}

void SocketConnector::finish(Result<std::unique_ptr<Stream>> result) {
  timeout_.stop();
  attempt_.stop();
  watcher_.reset();
  Done done = std::move(done_);
  done(std::move(result));  // may destroy this
}

}  // namespace v0
}  // namespace cleave
