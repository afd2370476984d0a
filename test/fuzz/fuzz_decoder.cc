// SPDX-License-Identifier: MIT
// A stream of any bytes, cut anywhere, against a reader that has them all at once and knows of the
// wire what protocol/README.md says of it.
#include <algorithm>
#include <optional>
#include <string>

#include "cleave/protocol/decoder.h"
#include "fuzz.h"

using namespace cleave;
using cleave::fuzz::Choices;
using cleave::fuzz::Pieces;
using cleave::fuzz::require;

namespace {

constexpr std::size_t kTranscript = 1 << 20;

std::uint64_t number_in(const Header& header, std::string_view name) {
  const auto value = header.find(name);
  return value && value->integer() ? static_cast<std::uint64_t>(*value->integer()) : 0;
}

// The size of a body that older clients send: it is in a member of their own.
std::optional<std::uint64_t> size_of_old(const Header& header) {
  if (header.find("data_size") || !header.find("filesize")) return std::nullopt;
  return number_in(header, "filesize") & ((std::uint64_t{1} << 40) - 1);
}

// What a stream says, as text: a length is sliced off, a header, a body, and so on.
class NaiveDecoder {
 public:
  NaiveDecoder(std::string_view bytes, HeaderParser& parser) : rest_(bytes), parser_(parser) {
    while (!rest_.empty() && frame()) {
    }
  }
  [[nodiscard]] const std::string& events() const noexcept { return events_; }

 private:
  // False where the stream ends or makes no sense.
  bool frame() {
    if (rest_.size() < 4) return stop("inside a header");
    std::uint64_t length = 0;
    for (int i = 3; i >= 0; --i) {
      length = length * 256 + static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)]);
    }
    if (length < 2 || length > parser_.limits().header_bytes) {
      return stop("error: a length of " + std::to_string(length));
    }
    rest_.remove_prefix(4);
    if (rest_.size() < length) return stop("inside a header");
    const auto header = parser_.parse(rest_.substr(0, static_cast<std::size_t>(length)));
    if (!header) return stop("error: " + header.error().message);
    rest_.remove_prefix(static_cast<std::size_t>(length));
    events_.append("head ").append((*header)->json()).append("\n");
    return body(size_of_old(**header).value_or(number_in(**header, "data_size")));
  }

  bool body(std::uint64_t size) {
    const auto came = static_cast<std::size_t>(std::min<std::uint64_t>(size, rest_.size()));
    events_ += rest_.substr(0, came);
    rest_.remove_prefix(came);
    if (came < size) return stop("inside a body " + std::to_string(size - came));
    events_ += "end\n";
    return true;
  }

  bool stop(const std::string& why) {
    events_ += why;
    return false;
  }

  std::string_view rest_;
  HeaderParser& parser_;
  std::string events_;
};

// What the decoder says of the same stream in pieces, in the same words.
class PiecewiseDecoder {
 public:
  PiecewiseDecoder(Pieces pieces, HeaderParser& parser) : decoder_(parser) {
    while (!pieces.empty() && errors_ < 3) feed(pieces.next());
    if (error_) {
      events_ += *error_;
    } else if (decoder_.inside_header()) {
      events_ += "inside a header";
    } else if (decoder_.inside_frame()) {
      events_ += "inside a body " + std::to_string(decoder_.body_remaining());
    }
  }
  [[nodiscard]] const std::string& events() const noexcept { return events_; }

 private:
  void feed(std::string_view input) {
    for (;;) {
      const std::size_t before = input.size();
      const auto event = decoder_.next(input);
      require(input.size() <= before, "input is only taken");
      if (!event) return fail(event.error(), input.size() == before);
      require(!error_, "nothing comes after an error");
      if (std::holds_alternative<Decoder::NeedMore>(*event)) {
        return require(input.empty(), "more is needed only when all is taken");
      }
      note(*event);
    }
  }

  void note(const Decoder::Event& event) {
    if (const auto* head = std::get_if<Decoder::Head>(&event)) {
      events_.append("head ").append(head->header->json()).append("\n");
      if (const auto size = size_of_old(*head->header)) decoder_.set_body_size(*size);
    } else if (const auto* body = std::get_if<Decoder::Body>(&event)) {
      require(!body->bytes.empty(), "a piece of a body is not empty");
      require(body->remaining == decoder_.body_remaining(), "what remains is known");
      events_ += body->bytes;
    } else {
      require(!decoder_.inside_frame(), "nothing is open behind a frame's end");
      events_ += "end\n";
    }
  }

  // Of a wrong length the decoder says more than which one came.
  static std::string plain(const std::string& message) {
    constexpr std::string_view kAnd = "(header_bytes), and ";
    if (!message.starts_with("a frame begins with its header's length")) return message;
    return "a length of " +
           std::to_string(std::stoull(message.substr(message.find(kAnd) + kAnd.size())));
  }

  void fail(const Error& error, bool untouched) {
    require(error.code == Errc::protocol_error, "a stream breaks by a protocol error");
    const std::string what = "error: " + plain(error.message);
    require(!error_ || (*error_ == what && untouched), "an error is final, and takes nothing");
    error_ = what;
    ++errors_;
    std::string_view more = "more";
    const auto again = decoder_.next(more);
    require(!again && again.error() == error && more == "more", "and is said again");
  }

  Decoder decoder_;
  std::string events_;
  std::optional<std::string> error_;
  int errors_ = 0;  // a few are as good as many
};

}  // namespace

// The lower half of the first byte's values, and the upper one with narrow limits, say how many of
// the bytes behind it are the sizes of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static HeaderParser usual;
  static HeaderParser narrow({.header_bytes = 24, .depth = 2, .values = 4, .key_bytes = 9});
  static HeaderParser naive_usual(usual.limits());
  static HeaderParser naive_narrow(narrow.limits());
  if (size > kTranscript) return 0;
  Choices input(data, size);
  const std::uint8_t first = input.byte();
  const bool is_narrow = first >= 128;
  const std::string_view sizes = input.bytes(first % 128U);
  const std::string_view bytes = input.rest();
  const NaiveDecoder naive(bytes, is_narrow ? naive_narrow : naive_usual);
  const PiecewiseDecoder decoder(Pieces(sizes, bytes), is_narrow ? narrow : usual);
  require(decoder.events() == naive.events(), "where a stream is cut does not matter");
  return 0;
}
