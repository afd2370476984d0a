// SPDX-License-Identifier: MIT
#include "cleave/protocol/bare_reply_decoder.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstddef>
#include <utility>

#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::size_t kDigitsMax = 20;  // of 2^64-1

std::string bytes_text(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " byte" : " bytes");
}

}  // namespace

Result<BareReplyDecoder::Event> BareReplyDecoder::next(std::string_view& input) {
  if (failed_) return fail(*failed_);
  if (wire_ == Wire::header) return next_frame(input);
  if (state_ == State::head) return next_head(input);
  if (size_ == came_) {
    state_ = State::head;
    size_.reset();
    return End{};
  }
  if (input.empty()) return NeedMore{};
  const std::uint64_t left = size_ ? *size_ - came_ : kUnknown;
  const std::string_view bytes =
      input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left, input.size())));
  input.remove_prefix(bytes.size());
  came_ += bytes.size();
  return Body{bytes, size_ ? *size_ - came_ : kUnknown};
}

Result<BareReplyDecoder::Event> BareReplyDecoder::next_head(std::string_view& input) {
  if (input.empty()) return NeedMore{};
  if (wire_ == Wire::raw) return begin(size_);
  if (wire_ == Wire::ready) {
    std::uint64_t size = 0;
    const char* const end = input.data() + input.size();
    const auto read = std::from_chars(input.data(), end, size);
    if (input.size() > kDigitsMax || read.ec != std::errc() || read.ptr != end) {
      std::string came;
      append_json_string(came, input.substr(0, kDigitsMax));
      return poison("the wire ready begins a reply with its length, 1 to " +
                    std::to_string(kDigitsMax) + " decimal digits, and this came: " + came + " (" +
                    bytes_text(input.size()) + ")");
    }
    input = {};
    return begin(size);
  }
  assert(wire_ == Wire::prefix);
  while (prefix_size_ < prefix_.size() && !input.empty()) {
    prefix_[prefix_size_++] = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
  }
  if (prefix_size_ < prefix_.size()) return NeedMore{};
  prefix_size_ = 0;
  std::uint32_t size = 0;
  for (std::size_t i = prefix_.size(); i-- > 0;) size = size << 8U | prefix_[i];
  if (size > kPrefixMax) {
    return poison("the wire prefix begins a reply with its length, a signed number of 4 bytes, " +
                  std::string("and ") + std::to_string(static_cast<std::int32_t>(size)) + " came");
  }
  return begin(size);
}

Result<BareReplyDecoder::Event> BareReplyDecoder::next_frame(std::string_view& input) {
  Result<Decoder::Event> event = frames_.next(input);
  if (!event) return fail(std::move(event.error()));
  if (auto* head = std::get_if<Decoder::Head>(&*event)) {
    const FrameHead& frame = head->header->frame();
    const std::string_view status = head->header->string_or("status", "ok").value_or("");
    if (!frame.data_size || frame.more || (status != "ok" && status != "error")) {
      return poison(
          "a reply's header says its data_size, no more, and no status but ok or error; " +
          std::string(head->header->json().substr(0, 200)) + " came");
    }
    Head begun = begin(*frame.data_size);
    begun.header = std::move(head->header);
    return begun;
  }
  if (auto* body = std::get_if<Body>(&*event)) {
    came_ += body->bytes.size();
    return *body;
  }
  if (std::holds_alternative<NeedMore>(*event)) return NeedMore{};
  state_ = State::head;
  return End{};
}

BareReplyDecoder::Head BareReplyDecoder::begin(std::optional<std::uint64_t> size) {
  state_ = State::body;
  size_ = size;
  came_ = 0;
  return {size, {}};
}

std::string BareReplyDecoder::shortfall() const {
  if (state_ == State::body || wire_ == Wire::raw) {
    const std::uint64_t came = state_ == State::body ? came_ : 0;
    return "expected " + (size_ ? bytes_text(*size_) : std::string("a reply")) + ", " +
           bytes_text(came) + " came";
  }
  if (wire_ == Wire::ready) return "expected a length in decimal digits, nothing came";
  if (wire_ == Wire::prefix) {
    return "expected a length of 4 bytes, " + std::to_string(prefix_size_) + " came";
  }
  return frames_.inside_frame() ? "expected a length and a header, a part of them came"
                                : "expected a length and a header, nothing came";
}

tl::unexpected<Error> BareReplyDecoder::poison(std::string message) {
  failed_ = Error{Errc::protocol_error, std::move(message)};
  return fail(*failed_);
}

}  // namespace v0
}  // namespace cleave
