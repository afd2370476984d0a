// SPDX-License-Identifier: MIT
#include "cleave/protocol/bare_decoder.h"

#include <algorithm>
#include <cstddef>

namespace cleave {
inline namespace v0 {

BareDecoder::Event BareDecoder::next(std::string_view& input) noexcept {
  if (input.empty()) return NeedMore{};
  if (!awaiting_) {
    const std::string_view message =
        input.substr(0, std::min<std::size_t>(input.size(), packet_bytes_));
    input.remove_prefix(message.size());
    return Message{message};
  }
  const std::string_view rest = kReadyAnswer.substr(matched_);
  const std::string_view answer = input.substr(0, std::min(input.size(), rest.size()));
  if (!rest.starts_with(answer)) {
    input = {};
    expect_message();
    return NotReady{};
  }
  input.remove_prefix(answer.size());
  matched_ = static_cast<std::uint8_t>(matched_ + answer.size());
  if (matched_ < kReadyAnswer.size()) return NeedMore{};
  expect_message();
  return Ready{};
}

}  // namespace v0
}  // namespace cleave
