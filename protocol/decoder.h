// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// A Decoder cuts the bytes of one connection into frames. It does no I/O and is pulled: nothing
// happens unless next() is called, so a connection is paused by not calling it.
//
//     0        4                 4+H                     4+H+data_size
//     +--------+------------------+-----------------------+---- next frame
//     | H, LE  | header: JSON obj | body: data_size bytes |
//     +--------+------------------+-----------------------+
//       \_____________________/ \_______________________/ ^
//               Head                 Body, Body, …        End
//
// It holds at most one header, and that only while the header arrives in pieces; a body is never
// held. Memory grows with the bytes that came, never with a length that was declared.
class CLEAVE_API Decoder {
 public:
  // The input is used up, and the next event is not complete.
  struct NeedMore {};
  // A frame begins.
  struct Head {
    Ref<const Header> header;
  };
  // A piece of the frame's body, never empty. `bytes` points into the input; `remaining` is what
  // is still to come after it.
  struct Body {
    std::string_view bytes;
    std::uint64_t remaining;
  };
  // The frame is complete.
  struct End {};
  using Event = std::variant<NeedMore, Head, Body, End>;

  // `parser` must outlive the decoder.
  explicit Decoder(HeaderParser& parser) noexcept : parser_(&parser) {}

  // Consumes from the front of `input` and returns one event; call it until NeedMore. Every frame
  // gives Head, any number of Body, End. An Error is a `protocol_error` and final: every further
  // call returns the same one and consumes nothing.
  [[nodiscard]] Result<Event> next(std::string_view& input);

  // Directly after a Head without `data_size`: the frame's body has `size` bytes. For commands
  // whose older clients name the size in a member of their own.
  void set_body_size(std::uint64_t size) noexcept;

  // Directly after a Head: the body and the End in one step, where all of the body lies at the
  // front of `input`. Otherwise nothing is consumed, and next() goes on as ever.
  [[nodiscard]] std::optional<std::string_view> whole_body(std::string_view& input) noexcept;

  // True inside a frame: an end of input now cuts it short.
  [[nodiscard]] bool inside_frame() const noexcept {
    return state_ != State::prefix || prefix_size_ != 0;
  }
  // True inside a frame, before its Head was given: its length or its header is arriving.
  [[nodiscard]] bool inside_header() const noexcept {
    return state_ == State::header || (state_ == State::prefix && prefix_size_ != 0);
  }
  [[nodiscard]] std::uint64_t body_remaining() const noexcept { return body_remaining_; }
  // The memory that the part of a header takes that has come so far.
  [[nodiscard]] std::size_t held_bytes() const noexcept { return held_ ? held_->capacity() : 0; }

 private:
  enum class State : std::uint8_t { prefix, header, body, failed };

  Result<Event> next_header(std::string_view& input);
  tl::unexpected<Error> poison(Error error);

  HeaderParser* parser_;
  std::uint64_t body_remaining_ = 0;
  std::uint32_t header_size_ = 0;
  State state_ = State::prefix;
  std::uint8_t prefix_size_ = 0;
  std::array<unsigned char, 4> prefix_{};
  // The part of a header that has come so far, or the error's text; empty while nothing is held.
  std::unique_ptr<std::string> held_;
};

}  // namespace v0
}  // namespace cleave
