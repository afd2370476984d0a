// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cleave/protocol/api.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"
#include "cleave/protocol/wire.h"

namespace cleave {
inline namespace v0 {

// The client's side of a bare wire: finds where each reply begins and ends.
//
//     raw      body                            as long as expect() says, or to the end of the input
//     ready    digits │ body                   Head is the time to say `recv_ready`
//     prefix   length │ body
//     header   length │ header │ body          a frame, and read by a Decoder
//             Head     Body, Body, …  End
//
// Pulled, as Decoder is. On `ready` the input that is handed in must be what one read brought: the
// digits end with it, as nothing else on the wire says where they do. On the other wires it does
// not matter where the bytes were cut.
class CLEAVE_API BareReplyDecoder {
 public:
  using NeedMore = Decoder::NeedMore;
  // A reply begins.
  struct Head {
    std::optional<std::uint64_t> size;  // of the body; empty: to the end of the input
    Ref<const Header> header;           // null but on the wire `header`
  };
  // A piece of the body, as Decoder gives it; what remains of a reply without a size is kUnknown.
  using Body = Decoder::Body;
  using End = Decoder::End;
  using Event = std::variant<NeedMore, Head, Body, End>;
  static constexpr std::uint64_t kUnknown = ~std::uint64_t{0};

  // `wire` is not `frame`. `parser` must outlive the decoder.
  BareReplyDecoder(Wire wire, HeaderParser& parser) noexcept : wire_(wire), frames_(parser) {}

  // On `raw`, between two replies: how long the next one is, at least 1; empty (as at first): it
  // ends with the input. The other wires say it themselves.
  void expect(std::optional<std::uint64_t> size) noexcept { size_ = size; }

  // Consumes from the front of `input` and returns one event; call it until NeedMore. Every reply
  // gives Head, any number of Body, End (not where it ends with the input). An Error is a
  // `protocol_error` and final: every further call returns the same one and consumes nothing.
  [[nodiscard]] Result<Event> next(std::string_view& input);

  // The end of the input is the end of this reply, and not before its time.
  [[nodiscard]] bool ends_with_input() const noexcept { return wire_ == Wire::raw && !size_; }
  // What is expected and what has come of it: "expected 10 bytes, 3 bytes came".
  [[nodiscard]] std::string shortfall() const;

 private:
  enum class State : std::uint8_t { head, body };

  Result<Event> next_head(std::string_view& input);
  Result<Event> next_frame(std::string_view& input);
  Head begin(std::optional<std::uint64_t> size);
  tl::unexpected<Error> poison(std::string message);

  Wire wire_;
  State state_ = State::head;
  std::uint8_t prefix_size_ = 0;  // bytes of the length that have come
  std::array<unsigned char, 4> prefix_{};
  std::optional<std::uint64_t> size_;  // of the body, as far as it is known
  std::uint64_t came_ = 0;             // of the body
  Decoder frames_;                     // of the wire `header`
  std::optional<Error> failed_;
};

}  // namespace v0
}  // namespace cleave
