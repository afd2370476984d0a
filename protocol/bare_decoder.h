// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "cleave/protocol/api.h"
#include "cleave/protocol/wire.h"

namespace cleave {
inline namespace v0 {

// The server's side of a bare wire: what one read brought is one message, and on the wire `ready`
// the client's word is waited for between a reply's length and its body.
//
//     request ──Message──▶ (the reply is made) ──await_ready()──▶ answer ──Ready or NotReady──▶
//     request
//
// Pulled, as Decoder is: the input of one read is handed in until NeedMore. Holds no bytes.
class CLEAVE_API BareDecoder {
 public:
  // The input is used up.
  struct NeedMore {};
  // A request, never empty; points into the input.
  struct Message {
    std::string_view bytes;
  };
  // The client has said `recv_ready`. What came behind it is the next request.
  struct Ready {};
  // The client has said something else, which was consumed as far as it has come: it does not get
  // the data, and what it says next is a request.
  struct NotReady {};
  using Event = std::variant<NeedMore, Message, Ready, NotReady>;

  // A message has at most `packet_bytes` (at least 1); a longer read becomes several.
  explicit BareDecoder(std::uint32_t packet_bytes) noexcept : packet_bytes_(packet_bytes) {}

  // Consumes from the front of `input` and returns one event.
  [[nodiscard]] Event next(std::string_view& input) noexcept;

  // A reply's length was sent on the wire `ready`: what comes next is the answer to it.
  void await_ready() noexcept { awaiting_ = true; }
  // Nothing is waited for any more: what comes next is a request.
  void expect_message() noexcept {
    awaiting_ = false;
    matched_ = 0;
  }
  [[nodiscard]] bool awaiting_ready() const noexcept { return awaiting_; }

 private:
  std::uint32_t packet_bytes_;
  std::uint8_t matched_ = 0;  // bytes of the answer that have come
  bool awaiting_ = false;
};

}  // namespace v0
}  // namespace cleave
