// SPDX-License-Identifier: MIT
// A framed echo on Asio, as its tutorials teach: read four bytes, read the header, read the body,
// write the reply, and begin again.
//
//     bench_asio_framed        prints its port on 127.0.0.1 and serves until it is killed
#include <array>
#include <asio.hpp>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "cleave/bench/peers/frame_head.h"

using cleave::bench::Asked;
using cleave::bench::length_of;
using cleave::bench::read_echo;

namespace {

constexpr std::size_t kHeaderBytes = 64 * 1024;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  void read_length() {
    asio::async_read(socket_, asio::buffer(length_),
                     [self = shared_from_this()](std::error_code error, std::size_t) {
                       if (!error) self->read_header();
                     });
  }

 private:
  void read_header() {
    const std::size_t size = length_of(length_.data());
    if (size > kHeaderBytes) return;
    header_.resize(size);
    asio::async_read(socket_, asio::buffer(header_),
                     [self = shared_from_this()](std::error_code error, std::size_t) {
                       if (!error) self->read_body();
                     });
  }
  void read_body() {
    asked_ = read_echo(header_.data(), header_.size());
    if (!asked_.good) return;
    body_.resize(asked_.body_bytes);
    asio::async_read(socket_, asio::buffer(body_),
                     [self = shared_from_this()](std::error_code error, std::size_t) {
                       if (!error) self->write_reply();
                     });
  }
  void write_reply() {
    const std::array pieces = {asio::buffer(asked_.reply_head), asio::buffer(body_)};
    asio::async_write(socket_, pieces,
                      [self = shared_from_this()](std::error_code error, std::size_t) {
                        if (!error) self->read_length();
                      });
  }

  asio::ip::tcp::socket socket_;
  std::array<unsigned char, 4> length_{};
  std::string header_;
  Asked asked_;
  std::string body_;
};

void accept(asio::ip::tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](std::error_code error, asio::ip::tcp::socket socket) {
    if (!error) {
      socket.set_option(asio::ip::tcp::no_delay(true), error);
      std::make_shared<Connection>(std::move(socket))->read_length();
    }
    accept(acceptor);
  });
}

}  // namespace

int main() {
  asio::io_context context(1);
  asio::ip::tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  std::printf("%d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  accept(acceptor);
  context.run();
}
