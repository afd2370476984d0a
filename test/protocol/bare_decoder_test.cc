// SPDX-License-Identifier: MIT
#include "cleave/protocol/bare_decoder.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "cleave/testing/every_split.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// All that one read gives, as text.
std::string feed(BareDecoder& decoder, std::string_view input) {
  std::string events;
  for (;;) {
    const BareDecoder::Event event = decoder.next(input);
    if (std::holds_alternative<BareDecoder::NeedMore>(event)) return events;
    if (const auto* message = std::get_if<BareDecoder::Message>(&event)) {
      events += "message " + std::string(message->bytes) + "\n";
    } else {
      events += std::holds_alternative<BareDecoder::Ready>(event) ? "ready\n" : "not ready\n";
    }
  }
}

// A client's answer in whatever pieces, and the command behind it, joined.
class Answer final : public SplitSubject {
 public:
  Answer() { decoder_.await_ready(); }
  void feed(std::string_view piece) override {
    for (;;) {
      const BareDecoder::Event event = decoder_.next(piece);
      if (std::holds_alternative<BareDecoder::NeedMore>(event)) return;
      if (const auto* message = std::get_if<BareDecoder::Message>(&event)) {
        commands_ += message->bytes;
      } else {
        said_ += std::holds_alternative<BareDecoder::Ready>(event) ? "ready " : "not ready ";
      }
    }
  }
  std::string transcript() override {
    return said_ + commands_ + (decoder_.awaiting_ready() ? " and waits" : "");
  }

 private:
  BareDecoder decoder_{1'024};
  std::string said_;
  std::string commands_;
};

std::string every_split_of(std::string_view bytes) {
  const SplitReport report = every_split(bytes, [] { return std::make_unique<Answer>(); });
  CHECK(report.difference == "");
  return report.whole;
}

}  // namespace

TEST_CASE("the bytes of one read are one message") {
  BareDecoder decoder(1'024);
  CHECK(feed(decoder, "hello") == "message hello\n");
  CHECK(feed(decoder, "world") == "message world\n");
  CHECK(feed(decoder, "") == "");
  CHECK(feed(decoder, std::string_view("\0\xFF", 2)) ==
        "message " + std::string("\0\xFF", 2) + "\n");
}

TEST_CASE("a read that is longer than a packet becomes several messages") {
  BareDecoder decoder(4);
  CHECK(feed(decoder, "abcd") == "message abcd\n");
  CHECK(feed(decoder, "abcdefghi") == "message abcd\nmessage efgh\nmessage i\n");
}

TEST_CASE("recv_ready is known however it is split, and what comes behind it is the next command") {
  CHECK(every_split_of("recv_ready") == "ready ");
  CHECK(every_split_of("recv_readyecho next") == "ready echo next");
  CHECK(every_split_of("recv_readyrecv_ready") == "ready recv_ready");
}

TEST_CASE("an answer that has begun well and has not come whole is waited for") {
  CHECK(every_split_of("") == " and waits");
  CHECK(every_split_of("recv_read") == " and waits");
}

TEST_CASE("any other answer is consumed with all that came in its read, and a command comes next") {
  for (const char* answer : {"no", "recv_readx", "x", "recv_ recv_ready", "RECV_READY", "\n"}) {
    BareDecoder decoder(1'024);
    decoder.await_ready();
    CHECK(feed(decoder, answer) == "not ready\n");
    CHECK_FALSE(decoder.awaiting_ready());
    CHECK(feed(decoder, "echo again") == "message echo again\n");
  }
}

TEST_CASE("an answer that goes wrong in its second read is consumed as well") {
  BareDecoder decoder(1'024);
  decoder.await_ready();
  CHECK(feed(decoder, "recv_") == "");
  CHECK(feed(decoder, "nothing") == "not ready\n");
  // The next answer is matched from its beginning.
  decoder.await_ready();
  CHECK(feed(decoder, "recv_ready") == "ready\n");
}

TEST_CASE("recv_ready is a command like any other while nothing is waited for") {
  BareDecoder decoder(1'024);
  CHECK(feed(decoder, "recv_ready") == "message recv_ready\n");
}
