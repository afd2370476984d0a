// SPDX-License-Identifier: MIT
#include "cleave/testing/plain_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>
#include <variant>

#include "cleave/testing/frame_bytes.h"

namespace cleave::testing {
namespace {

void check(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what + " failed: " + std::strerror(errno));
}

// A socket with a time limit is not asked again by the system after a signal (of a child's end).
template <typename Call>
ssize_t uninterrupted(Call call) {
  ssize_t size = -1;
  do {
    size = call();
  } while (size < 0 && errno == EINTR);
  return size;
}

}  // namespace

std::string Frame::text(std::string_view name) const {
  return std::string(header->string_or(name, "").value());
}

std::optional<std::int64_t> Frame::number(std::string_view name) const {
  const auto value = header->find(name);
  return value ? value->integer() : std::nullopt;
}

bool Frame::flag(std::string_view name) const {
  return header->boolean_or(name, false).value();
}

PlainClient::PlainClient(std::uint16_t port)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  check(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0,
        "connecting");
}

void PlainClient::send(Members members, std::string_view body) {
  if (!body.empty()) members.set("data_size", body.size());
  write(frame_bytes(members.object()));
  write(body);
}

void PlainClient::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size =
        uninterrupted([&] { return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    check(size > 0, "sending");
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

Frame PlainClient::read() {
  Frame frame;
  for (;;) {
    std::string_view rest = std::string_view(input_).substr(used_);
    auto event = decoder_.next(rest);
    used_ = input_.size() - rest.size();
    check(event.has_value(), "decoding");
    if (auto* head = std::get_if<Decoder::Head>(&*event)) {
      frame.header = head->header;
    } else if (auto* body = std::get_if<Decoder::Body>(&*event)) {
      frame.body += body->bytes;
    } else if (std::holds_alternative<Decoder::End>(*event)) {
      return frame;
    } else {
      input_.resize(64 * 1024);
      const ssize_t size =
          uninterrupted([&] { return ::recv(fd_.get(), input_.data(), input_.size(), 0); });
      if (size == 0) throw std::runtime_error("the connection ended");
      check(size > 0, "receiving");
      input_.resize(static_cast<std::size_t>(size));
      used_ = 0;
    }
  }
}

Frame PlainClient::ask(Members members, std::string_view body) {
  send(std::move(members), body);
  return read();
}

Streamed PlainClient::read_streamed() {
  Streamed reply;
  for (;;) {
    Frame frame = read();
    if (frame.text("stream") == "stdout") reply.out += frame.body;
    if (frame.text("stream") == "stderr") reply.err += frame.body;
    if (!frame.flag("more")) {
      reply.last = std::move(frame);
      return reply;
    }
  }
}

void PlainClient::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  fd_.reset();
}

}  // namespace cleave::testing
