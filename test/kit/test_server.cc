// SPDX-License-Identifier: MIT
#include "cleave/testing/test_server.h"

#include <chrono>
#include <stdexcept>
#include <utility>
#include <variant>

#include "cleave/testing/frame_bytes.h"

namespace cleave::testing {

TestPeer::TestPeer(MemoryPeer wire)
    : wire_(std::move(wire)), parser_(std::make_unique<HeaderParser>()) {}

void TestPeer::send(std::string_view header, std::string_view body) {
  wire_.send(frame_bytes(header, body));
}

std::optional<Frame> TestPeer::read() {
  if (used_ == input_.size()) {
    input_ = wire_.take_received();
    used_ = 0;
  } else {
    input_ += wire_.take_received();
  }
  Frame frame;
  std::string_view rest = std::string_view(input_).substr(used_);
  // Read with a decoder of its own, so that a frame that is not complete is not begun.
  Decoder decoder(*parser_);
  for (;;) {
    Result<Decoder::Event> event = decoder.next(rest);
    if (!event) throw std::runtime_error("the server sent no frame: " + event.error().message);
    if (std::holds_alternative<Decoder::NeedMore>(*event)) return std::nullopt;
    if (const auto* head = std::get_if<Decoder::Head>(&*event)) frame.header = head->header;
    if (const auto* body = std::get_if<Decoder::Body>(&*event)) frame.body += body->bytes;
    if (std::holds_alternative<Decoder::End>(*event)) break;
  }
  used_ = input_.size() - rest.size();
  return frame;
}

std::vector<Frame> TestPeer::read_all() {
  std::vector<Frame> frames;
  while (std::optional<Frame> frame = read()) frames.push_back(std::move(*frame));
  return frames;
}

TestServer::TestServer(const std::function<void(Router&, Loop&)>& add, ServerOptions options)
    : loop_(Loop::create({.clock = &clock_}).value()) {
  add(router_, *loop_);
  server_ = std::make_unique<Server>(*loop_, router_, std::move(options));
}

TestServer::~TestServer() = default;

TestPeer TestServer::connect(const Endpoint& endpoint, std::string address) {
  MemoryStream::Pair pair = MemoryStream::make(*loop_, std::move(address));
  if (const auto served = server_->serve(std::move(pair.stream), endpoint); !served) {
    throw std::runtime_error(served.error().message);
  }
  return TestPeer(std::move(pair.peer));
}

void TestServer::settle() {
  // Everything that happens by itself happens in the next turn; a few turns at the most lie between
  // a byte and its answer. A busy loop would never come to rest, so the number is fixed.
  for (int i = 0; i < 64; ++i) loop_->step();
}

void TestServer::advance(Millis by) {
  constexpr Millis kStep(250);
  while (by > Millis(0)) {
    const Millis step = std::min(by, kStep);
    clock_.advance(step);
    by -= step;
    loop_->step();
    loop_->step();
    loop_->step();
  }
  settle();
}

void TestServer::stand_still(Millis by) {
  clock_.advance(by);
  loop_->step();
}

bool TestServer::run_until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    loop_->step_waiting();
  }
  return true;
}

}  // namespace cleave::testing
