// SPDX-License-Identifier: MIT
#include "cleave/protocol/decoder.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::uint32_t kHeaderBytesMin = 2;  // {}

using Prefix = std::array<unsigned char, 4>;

std::uint32_t little_endian(const Prefix& bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8U |
         static_cast<std::uint32_t>(bytes[2]) << 16U | static_cast<std::uint32_t>(bytes[3]) << 24U;
}

// What the sender of an impossible length probably took us for. Only the four bytes are looked at,
// so that the answer does not depend on how much came with them.
std::string_view guess(const Prefix& bytes, std::uint32_t header_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const std::string_view start :
       {"GET ", "POST", "PUT ", "HEAD", "DELE", "OPTI", "PATC", "CONN", "TRAC", "PRI ", "HTTP"}) {
    if (text == start) return "; it looks like HTTP";
  }
  if (bytes[0] == 0x16 && bytes[1] == 0x03) return "; it looks like TLS";
  if (text == "SSH-") return "; it looks like SSH";
  if (text.front() == '{') return "; it looks like JSON without its length in front";
  const std::uint32_t reversed = little_endian({bytes[3], bytes[2], bytes[1], bytes[0]});
  if (reversed >= kHeaderBytesMin && reversed <= header_bytes) {
    return "; it looks like a big-endian length";
  }
  return "";
}

Error bad_length(const Prefix& bytes, std::uint32_t header_bytes) {
  char hex[sizeof "00 00 00 00"];
  std::snprintf(hex, sizeof hex, "%02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3]);
  std::string message = "a frame begins with its header's length, 4 bytes, little-endian, from ";
  message += std::to_string(kHeaderBytesMin) + " to " + std::to_string(header_bytes);
  message += " (header_bytes), and " + std::to_string(little_endian(bytes)) + " came (";
  message += hex;
  message += ')';
  message += guess(bytes, header_bytes);
  const bool too_long = little_endian(bytes) > header_bytes;
  return {Errc::protocol_error, std::move(message), too_long ? "header_bytes" : ""};
}

}  // namespace

Result<Decoder::Event> Decoder::next(std::string_view& input) {
  switch (state_) {
    case State::prefix: {
      if (input.empty()) return NeedMore{};  // memcpy takes no null, not even of 0 bytes
      const std::size_t size = std::min(prefix_.size() - prefix_size_, input.size());
      std::memcpy(prefix_.data() + prefix_size_, input.data(), size);
      input.remove_prefix(size);
      prefix_size_ = static_cast<std::uint8_t>(prefix_size_ + size);
      if (prefix_size_ < prefix_.size()) return NeedMore{};
      header_size_ = little_endian(prefix_);
      const std::uint32_t header_bytes = parser_->limits().header_bytes;
      if (header_size_ < kHeaderBytesMin || header_size_ > header_bytes) {
        return poison(bad_length(prefix_, header_bytes));
      }
      prefix_size_ = 0;
      state_ = State::header;
      return next_header(input);
    }
    case State::header:
      return next_header(input);
    case State::body: {
      if (body_remaining_ == 0) {
        state_ = State::prefix;
        return End{};
      }
      if (input.empty()) return NeedMore{};
      const auto size =
          static_cast<std::size_t>(std::min<std::uint64_t>(body_remaining_, input.size()));
      const std::string_view bytes = input.substr(0, size);
      input.remove_prefix(size);
      body_remaining_ -= size;
      return Body{bytes, body_remaining_};
    }
    case State::failed:
      break;
  }
  return fail(Errc::protocol_error, *held_);
}

// A header that lies in the input as a whole, as nearly all do, is parsed where it lies.
Result<Decoder::Event> Decoder::next_header(std::string_view& input) {
  std::string_view json;
  if (!held_ && input.size() >= header_size_) {
    json = input.substr(0, header_size_);
    input.remove_prefix(header_size_);
  } else {
    if (input.empty()) return NeedMore{};
    if (!held_) held_ = std::make_unique<std::string>();
    const std::size_t size = std::min(header_size_ - held_->size(), input.size());
    held_->append(input, 0, size);
    input.remove_prefix(size);
    if (held_->size() < header_size_) return NeedMore{};
    json = *held_;
  }
  Result<Ref<const Header>> header = parser_->parse(json);
  held_.reset();
  if (!header) return poison(std::move(header.error()));
  body_remaining_ = (*header)->frame().data_size.value_or(0);
  state_ = State::body;
  return Head{std::move(*header)};
}

void Decoder::set_body_size(std::uint64_t size) noexcept {
  assert(state_ == State::body && body_remaining_ == 0);
  body_remaining_ = size;
}

std::optional<std::string_view> Decoder::whole_body(std::string_view& input) noexcept {
  assert(state_ == State::body);
  if (body_remaining_ > input.size()) return std::nullopt;
  const std::string_view body = input.substr(0, static_cast<std::size_t>(body_remaining_));
  input.remove_prefix(body.size());
  body_remaining_ = 0;
  state_ = State::prefix;
  return body;
}

tl::unexpected<Error> Decoder::poison(Error error) {
  state_ = State::failed;
  body_remaining_ = 0;
  held_ = std::make_unique<std::string>(error.message);
  return fail(std::move(error));
}

}  // namespace v0
}  // namespace cleave
