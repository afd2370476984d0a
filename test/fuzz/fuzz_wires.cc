// SPDX-License-Identifier: MIT
// The bare wires, without a connection around them: what a server takes for messages, what a client
// takes for replies, and what the one writes for the other. Each against a plain reader.
#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cleave/protocol/bare_decoder.h"
#include "cleave/protocol/bare_reply_decoder.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/wire.h"
#include "fuzz.h"

using namespace cleave;
using cleave::fuzz::Choices;
using cleave::fuzz::Pieces;
using cleave::fuzz::require;

namespace {

Wire bare_wire(std::uint8_t choice) {
  return static_cast<Wire>(1 + choice % 4U);
}

std::string size_text(std::optional<std::uint64_t> size) {
  return size ? std::to_string(*size) : "unknown";
}

// ---- A server's side ----------------------------------------------------------------------------

// What a server makes of its reads; after each message it sends a length, and waits to be asked for
// the rest.
std::string naive_messages(Pieces reads, std::size_t packet_bytes, bool ready) {
  std::string events;
  std::string heard;
  bool awaiting = false;
  while (!reads.empty()) {
    std::string read(reads.next());
    while (!read.empty()) {
      if (!awaiting) {
        events += "message " + read.substr(0, packet_bytes) + "\n";
        read.erase(0, packet_bytes);
        awaiting = ready;
        continue;
      }
      heard += std::exchange(read, {});
      if (kReadyAnswer.starts_with(heard) && heard != kReadyAnswer) continue;
      awaiting = false;
      if (heard.starts_with(kReadyAnswer)) read = heard.substr(kReadyAnswer.size());
      events += heard.starts_with(kReadyAnswer) ? "ready\n" : "not ready\n";
      heard.clear();
    }
  }
  return events + (awaiting ? "awaiting" : "");
}

std::string messages(Pieces reads, std::size_t packet_bytes, bool ready) {
  BareDecoder decoder(static_cast<std::uint32_t>(packet_bytes));
  std::string events;
  while (!reads.empty()) {
    for (std::string_view input = reads.next();;) {
      const BareDecoder::Event event = decoder.next(input);
      if (std::holds_alternative<BareDecoder::NeedMore>(event)) {
        require(input.empty(), "more is needed only when all is taken");
        break;
      }
      if (const auto* message = std::get_if<BareDecoder::Message>(&event)) {
        require(!message->bytes.empty(), "a message is not empty");
        events.append("message ").append(message->bytes).append("\n");
        if (ready) decoder.await_ready();
      } else {
        events += std::holds_alternative<BareDecoder::Ready>(event) ? "ready\n" : "not ready\n";
      }
    }
  }
  return events + (decoder.awaiting_ready() ? "awaiting" : "");
}

void server_side(Choices& input) {
  const bool ready = input.byte() % 2 == 1;
  const std::size_t packet_bytes = 1 + input.byte();
  const std::string_view sizes = input.bytes(input.byte());
  const std::string_view bytes = input.rest();
  require(messages(Pieces(sizes, bytes), packet_bytes, ready) ==
              naive_messages(Pieces(sizes, bytes), packet_bytes, ready),
          "a server takes what each read brings for a message");
}

// ---- A client's side ----------------------------------------------------------------------------

// How long each of the replies is, on the wire that does not say it.
class Expected {
 public:
  explicit Expected(std::string_view sizes) : sizes_(sizes) {}
  std::optional<std::uint64_t> next() {
    if (sizes_.empty()) return std::nullopt;
    const auto size = static_cast<unsigned char>(sizes_.front());
    sizes_.remove_prefix(1);
    return size == 0 ? std::nullopt : std::optional<std::uint64_t>(size);
  }

 private:
  std::string_view sizes_;
};

// A reply after the other, from everything that came. On the wire ready, where the digits end with
// a read, `ends` are the places where the reads do.
class NaiveReplies {
 public:
  NaiveReplies(Wire wire, std::string_view bytes, std::vector<std::size_t> ends, Expected expected,
               HeaderParser& parser)
      : wire_(wire), bytes_(bytes), ends_(std::move(ends)), expected_(expected), parser_(parser) {
    raw_size_ = expected_.next();
    while (at_ < bytes_.size() && reply()) {
    }
  }
  [[nodiscard]] const std::string& events() const noexcept { return events_; }

 private:
  [[nodiscard]] std::string_view rest() const { return bytes_.substr(at_); }
  bool stop(const std::string& why) {
    events_ += why;
    return false;
  }

  bool reply() {
    if (wire_ == Wire::raw) return body(raw_size_);
    if (wire_ == Wire::ready) return after_digits();
    if (rest().size() < 4) return false;
    std::uint64_t length = 0;
    for (int i = 3; i >= 0; --i) {
      length = length * 256 + static_cast<unsigned char>(rest()[static_cast<std::size_t>(i)]);
    }
    if (wire_ == Wire::prefix) {
      if (length > 0x7FFF'FFFF) return stop("error");
      at_ += 4;
      return body(length);
    }
    if (length < 2 || length > parser_.limits().header_bytes) return stop("error");
    if (rest().size() - 4 < length) return false;
    at_ += 4;
    return after_header(rest().substr(0, static_cast<std::size_t>(length)));
  }

  bool after_digits() {
    const std::size_t end = *std::upper_bound(ends_.begin(), ends_.end(), at_);
    std::string digits(bytes_.substr(at_, end - at_));
    if (digits.size() > 20 || digits.find_first_not_of("0123456789") != std::string::npos) {
      return stop("error");
    }
    digits.insert(0, 20 - digits.size(), '0');
    if (digits > "18446744073709551615") return stop("error");
    at_ = end;
    return body(std::stoull(digits));
  }

  bool after_header(std::string_view json) {
    const auto header = parser_.parse(json);
    if (!header) return stop("error");
    at_ += json.size();
    const auto size = (*header)->find("data_size");
    const auto more = (*header)->find("more");
    const auto status = (*header)->find("status");
    const bool says_status = !status || status->string() == "ok" || status->string() == "error";
    if (!size || (more && *more->boolean()) || !says_status) return stop("error");
    return body(static_cast<std::uint64_t>(*size->integer()));
  }

  bool body(std::optional<std::uint64_t> size) {
    events_ += "head " + size_text(size) + "\n";
    const auto came = static_cast<std::size_t>(
        std::min<std::uint64_t>(size.value_or(BareReplyDecoder::kUnknown), rest().size()));
    events_ += rest().substr(0, came);
    at_ += came;
    if (came != size) return false;
    events_ += "end\n";
    raw_size_ = expected_.next();
    return true;
  }

  Wire wire_;
  std::string_view bytes_;
  std::vector<std::size_t> ends_;
  Expected expected_;
  HeaderParser& parser_;
  std::size_t at_ = 0;
  std::optional<std::uint64_t> raw_size_;
  std::string events_;
};

// The same in pieces, as a client reads them.
class Replies {
 public:
  Replies(Wire wire, Pieces reads, Expected expected, HeaderParser& parser)
      : decoder_(wire, parser), expected_(expected) {
    decoder_.expect(expected_.next());
    while (!reads.empty() && errors_ < 3) feed(reads.next());
    if (error_) events_ += "error";
    require(!decoder_.shortfall().empty(), "what is missing can be said");
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
      if (std::holds_alternative<BareReplyDecoder::NeedMore>(*event)) {
        return require(input.empty(), "more is needed only when all is taken");
      }
      note(*event);
    }
  }

  void note(const BareReplyDecoder::Event& event) {
    if (const auto* head = std::get_if<BareReplyDecoder::Head>(&event)) {
      remaining_ = head->size;
      events_ += "head " + size_text(head->size) + "\n";
    } else if (const auto* body = std::get_if<BareReplyDecoder::Body>(&event)) {
      require(!body->bytes.empty(), "a piece of a body is not empty");
      if (remaining_) *remaining_ -= body->bytes.size();
      require(body->remaining == remaining_.value_or(BareReplyDecoder::kUnknown),
              "what remains is known");
      events_ += body->bytes;
    } else {
      events_ += "end\n";
      decoder_.expect(expected_.next());
    }
  }

  void fail(const Error& error, bool untouched) {
    require(error.code == Errc::protocol_error, "what is no reply is a protocol error");
    require(!error_ || (*error_ == error && untouched), "an error is final, and takes nothing");
    error_ = error;
    ++errors_;
  }

  BareReplyDecoder decoder_;
  Expected expected_;
  std::optional<std::uint64_t> remaining_;
  std::string events_;
  std::optional<Error> error_;
  int errors_ = 0;  // a few are as good as many
};

void client_side(Choices& input) {
  static HeaderParser parser;
  const Wire wire = bare_wire(input.byte());
  const Expected expected(input.bytes(input.byte() % 8U));
  const std::string_view sizes = input.bytes(input.byte());
  const std::string_view bytes = input.rest();
  std::vector<std::size_t> ends;
  std::size_t end = 0;
  for (Pieces reads(sizes, bytes); !reads.empty();) ends.push_back(end += reads.next().size());
  require(Replies(wire, Pieces(sizes, bytes), expected, parser).events() ==
              NaiveReplies(wire, bytes, ends, expected, parser).events(),
          "a client finds the replies wherever they are cut");
}

// ---- From the one to the other ------------------------------------------------------------------

void both_sides(Choices& input) {
  static HeaderParser parser;
  const Wire wire = bare_wire(input.byte());
  const std::uint64_t size = input.number(8) >> (input.byte() % 64U);
  const std::uint32_t header_bytes = 64 + input.byte();
  const std::string_view sizes = wire == Wire::ready ? "" : input.bytes(input.byte());
  const Members members = Members().set("text", input.rest());
  std::string out = "before";
  const bool sayable = wire != Wire::header || size <= (~std::uint64_t{0} >> 1U);
  if (!sayable) return;  // no body is that long
  const auto appended = append_bare_head(out, wire, size, members.text(), header_bytes);
  if (!appended) {
    require(appended.error().code == Errc::too_large, "only a size can refuse a head");
    require(wire == Wire::header || (wire == Wire::prefix && size > kPrefixMax), "a size has room");
    require(out == "before", "a head that is refused leaves nothing behind");
    return;
  }
  const std::string_view head = std::string_view(out).substr(6);
  require(wire != Wire::header || head.size() <= 4 + header_bytes, "a header is within its limit");
  if (wire == Wire::raw) return require(head.empty(), "the wire raw has no heads");
  const std::string expected = "head " + std::to_string(size) + "\n" + (size == 0 ? "end\n" : "");
  require(Replies(wire, Pieces(sizes, head), Expected(""), parser).events() == expected,
          "a client reads the size that was written");
}

}  // namespace

// The first byte chooses the side.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4'096) return 0;
  Choices input(data, size);
  switch (input.byte() % 3U) {
    case 0:
      server_side(input);
      return 0;
    case 1:
      client_side(input);
      return 0;
    default:
      both_sides(input);
      return 0;
  }
}
