// SPDX-License-Identifier: MIT
#include "cleave/protocol/bare_reply_decoder.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "cleave/testing/every_split.h"
#include "cleave/testing/frame_bytes.h"

using namespace cleave;
using namespace cleave::testing;
using namespace std::string_literals;

namespace {

// Writes down what a decoder makes of its input, a body's pieces joined.
class Subject final : public SplitSubject {
 public:
  // `first` is handed in by itself before anything else: what has to be one read.
  explicit Subject(Wire wire, std::optional<std::uint64_t> size = {}, std::string_view first = {})
      : decoder_(wire, parser_), size_(size) {
    decoder_.expect(size_);
    feed(first);
  }

  void feed(std::string_view piece) override {
    while (error_.empty()) {
      auto event = decoder_.next(piece);
      if (!event) {
        error_ = "error " + std::string(to_string(event.error().code)) + ": " +
                 event.error().message + "\n";
        return;
      }
      if (std::holds_alternative<BareReplyDecoder::NeedMore>(*event)) return;
      note(*event);
    }
    // An error stays.
    const std::size_t before = piece.size();
    CHECK_FALSE(decoder_.next(piece).has_value());
    CHECK(piece.size() == before);
  }

  std::string transcript() override {
    std::string text = text_;
    if (in_body_) text += '\n';
    return text + error_ + (error_.empty() ? decoder_.shortfall() + "\n" : "");
  }

 private:
  void note(const BareReplyDecoder::Event& event) {
    if (const auto* body = std::get_if<BareReplyDecoder::Body>(&event)) {
      if (!std::exchange(in_body_, true)) text_ += "body ";
      text_ += body->bytes;
      came_ += body->bytes.size();
      CHECK_FALSE(body->bytes.empty());
      CHECK(body->remaining == (announced_ ? *announced_ - came_ : BareReplyDecoder::kUnknown));
      return;
    }
    if (std::exchange(in_body_, false)) text_ += '\n';
    if (const auto* head = std::get_if<BareReplyDecoder::Head>(&event)) {
      announced_ = head->size;
      came_ = 0;
      text_ += "head " + (head->size ? std::to_string(*head->size) : "unknown");
      if (head->header) text_ += " " + std::string(head->header->json());
      text_ += '\n';
    } else {
      text_ += "end\n";
      decoder_.expect(size_);
    }
  }

  HeaderParser parser_;
  BareReplyDecoder decoder_;
  std::optional<std::uint64_t> size_;
  std::optional<std::uint64_t> announced_;
  std::uint64_t came_ = 0;
  std::string text_;
  std::string error_;
  bool in_body_ = false;
};

// What a decoder makes of `wire` however it is cut.
std::string decoded(Wire wire, std::string_view bytes, std::optional<std::uint64_t> size = {},
                    std::string_view first = {}) {
  const SplitReport report =
      every_split(bytes, [&] { return std::make_unique<Subject>(wire, size, first); });
  CHECK(report.difference == "");
  return report.whole;
}

// What it makes of bytes that must be one read.
std::string decoded_at_once(Wire wire, std::string_view bytes) {
  Subject subject(wire);
  subject.feed(bytes);
  return subject.transcript();
}

}  // namespace

TEST_CASE("raw replies of known sizes are cut apart, wherever the bytes were cut") {
  CHECK(decoded(Wire::raw, "HELLOWORLD", 5) ==
        "head 5\nbody HELLO\nend\nhead 5\nbody WORLD\nend\nexpected 5 bytes, 0 bytes came\n");
  CHECK(decoded(Wire::raw, "HEL", 5) == "head 5\nbody HEL\nexpected 5 bytes, 3 bytes came\n");
  CHECK(decoded(Wire::raw, "", 1) == "expected 1 byte, 0 bytes came\n");
}

TEST_CASE("a raw reply of unknown size has no end but that of the input") {
  CHECK(decoded(Wire::raw, "a\0b\n"s) ==
        "head unknown\nbody a\0b\n\nexpected a reply, 4 bytes came\n"s);
  HeaderParser parser;
  BareReplyDecoder raw(Wire::raw, parser);
  CHECK(raw.ends_with_input());
  raw.expect(3);
  CHECK_FALSE(raw.ends_with_input());
  CHECK_FALSE(BareReplyDecoder(Wire::prefix, parser).ends_with_input());
}

TEST_CASE("replies with a prefix are cut apart, wherever the bytes were cut") {
  CHECK(decoded(Wire::prefix,
                length_bytes(5) + "hello" + length_bytes(0) + length_bytes(2) + "\xce\xd2") ==
        "head 5\nbody hello\nend\nhead 0\nend\nhead 2\nbody \xce\xd2\nend\n"
        "expected a length of 4 bytes, 0 came\n");
  CHECK(decoded(Wire::prefix, length_bytes(0x7FFFFFFF) + "x") ==
        "head 2147483647\nbody x\nexpected 2147483647 bytes, 1 byte came\n");
  CHECK(decoded(Wire::prefix, length_bytes(5).substr(0, 3)) ==
        "expected a length of 4 bytes, 3 came\n");
}

TEST_CASE("a negative prefix is a protocol_error for good") {
  const std::string sentence =
      "error protocol_error: the wire prefix begins a reply with its length, a signed number of 4 "
      "bytes, and ";
  CHECK(decoded(Wire::prefix, length_bytes(0x80000000) + "rest") ==
        sentence + "-2147483648 came\n");
  CHECK(decoded(Wire::prefix, length_bytes(2) + "ab" + length_bytes(0xFFFFFFFF)) ==
        "head 2\nbody ab\nend\n" + sentence + "-1 came\n");
}

// On this wire the digits end with the read that they came in, so they cannot be cut; the body can.
TEST_CASE("digits that came in one read are a reply's length, and its body may be cut anywhere") {
  CHECK(decoded(Wire::ready, "hello", {}, "5") ==
        "head 5\nbody hello\nend\nexpected a length in decimal digits, nothing came\n");
  CHECK(decoded(Wire::ready, "12345", {}, "0012") ==
        "head 12\nbody 12345\nexpected 12 bytes, 5 bytes came\n");
  CHECK(decoded_at_once(Wire::ready, "0") ==
        "head 0\nend\nexpected a length in decimal digits, nothing came\n");
  CHECK(decoded_at_once(Wire::ready, "18446744073709551614") ==
        "head 18446744073709551614\nexpected 18446744073709551614 bytes, 0 bytes came\n");
}

TEST_CASE("after a ready reply, the next read is a length again") {
  HeaderParser parser;
  BareReplyDecoder decoder(Wire::ready, parser);
  for (const std::string_view body : {"1234", "12"}) {
    const std::string digits = std::to_string(body.size());
    std::string_view input = digits;
    CHECK(std::get<BareReplyDecoder::Head>(*decoder.next(input)).size == body.size());
    CHECK(input.empty());
    input = body;
    CHECK(std::get<BareReplyDecoder::Body>(*decoder.next(input)).bytes == body);
    CHECK(std::holds_alternative<BareReplyDecoder::End>(*decoder.next(input)));
    CHECK(std::holds_alternative<BareReplyDecoder::NeedMore>(*decoder.next(input)));
  }
}

TEST_CASE("what is not a length in digits is a protocol_error") {
  const std::string sentence =
      "error protocol_error: the wire ready begins a reply with its length, 1 to 20 decimal "
      "digits, and this came: ";
  for (const auto& [came, told] : {
           std::pair("5 "s, "\"5 \" (2 bytes)\n"),
           std::pair("-1"s, "\"-1\" (2 bytes)\n"),
           std::pair("+1"s, "\"+1\" (2 bytes)\n"),
           std::pair("\x1b"s, "\"\\u001b\" (1 byte)\n"),
           std::pair("4hell"s, "\"4hell\" (5 bytes)\n"),
           std::pair("18446744073709551616"s, "\"18446744073709551616\" (20 bytes)\n"),
           std::pair("000000000000000000001"s, "\"00000000000000000000\" (21 bytes)\n"),
       }) {
    CHECK(decoded_at_once(Wire::ready, came) == sentence + told);
  }
}

TEST_CASE("replies with a header are frames, wherever the bytes were cut") {
  CHECK(decoded(Wire::header, frame_bytes(R"({"data_size": 5})", "hello") +
                                  frame_bytes(R"({"data_size":0})") +
                                  frame_bytes(R"({"data_size":1,"exit_code":3})", "x")) ==
        "head 5 {\"data_size\": 5}\nbody hello\nend\nhead 0 {\"data_size\":0}\nend\n"
        "head 1 {\"data_size\":1,\"exit_code\":3}\nbody x\nend\n"
        "expected a length and a header, nothing came\n");
  const std::string cut = frame_bytes(R"({"data_size":9})", "abc");
  CHECK(decoded(Wire::header, cut) ==
        "head 9 {\"data_size\":9}\nbody abc\nexpected 9 bytes, 3 bytes came\n");
  CHECK(decoded(Wire::header, cut.substr(0, 7)) ==
        "expected a length and a header, a part of them came\n");
}

TEST_CASE("a header that is none is a protocol_error") {
  const std::string told = decoded(Wire::header, frame_bytes(R"({"data_size":-1})"));
  CHECK(told.starts_with("error protocol_error: "));
}

TEST_CASE("a header that does not say how long its reply is, or says that there is more, is none") {
  for (const char* header :
       {"{}", R"({"size":3})", R"({"data_size":3,"more":true,"id":1})",
        R"({"data_size":3,"status":"failed"})", R"({"data_size":3,"status":5})"}) {
    CHECK(
        decoded(Wire::header, frame_bytes(header, "abc")) ==
        "error protocol_error: a reply's header says its data_size, no more, and no status but ok "
        "or error; " +
            std::string(header) + " came\n");
  }
  CHECK(decoded(Wire::header, frame_bytes(R"({"data_size":0,"status":"error"})"))
            .starts_with("head 0"));
}
