// SPDX-License-Identifier: MIT
#include "cleave/protocol/encoder.h"

#include <array>
#include <cassert>
#include <charconv>
#include <cstddef>

#include "cleave/protocol/members.h"
#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::size_t kPrefixSize = 4;

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;  // 2^64-1 has 20
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

}  // namespace

// Written by hand, as a writer of the JSON library costs a fifth of the messages per second. Each
// member is followed by a comma, and the last comma becomes the brace.
Result<void> append_head(std::string& out, const OutgoingHead& head, std::uint32_t header_bytes) {
  assert(!head.more || head.id.has_value());
  const std::size_t start = out.size();
  out.append(kPrefixSize, '\0');
  out += '{';
  if (!head.cmd.empty()) {
    out += "\"cmd\":";
    append_json_string(out, head.cmd);
    out += ',';
  }
  if (head.id) {
    out += "\"id\":";
    append_number(out, *head.id);
    out += ',';
  }
  if (head.more) out += "\"more\":true,";
  if (head.data_size != 0 || head.write_data_size) {
    out += "\"data_size\":";
    append_number(out, head.data_size);
    out += ',';
  }
  if (!head.status.empty()) {
    out += "\"status\":\"";
    out += head.status;
    out += "\",";
  }
  if (!head.members.empty()) {
    out += head.members;
    out += ',';
  }
  if (out.back() == ',') {
    out.back() = '}';
  } else {
    out += '}';
  }
  out.append(head.blanks, ' ');

  const std::size_t size = out.size() - start - kPrefixSize;
  if (size > header_bytes) {
    out.resize(start);
    return fail(Errc::too_large, "the header would be " + std::to_string(size) +
                                     " bytes, and the limit (header_bytes) is " +
                                     std::to_string(header_bytes));
  }
  for (std::size_t i = 0; i < kPrefixSize; ++i) {
    out[start + i] = static_cast<char>((size >> (8 * i)) & 0xFFU);
  }
  return {};
}

std::string error_members(const Error& error, std::size_t message_bytes) {
  std::string_view message = error.message;
  if (message.size() > message_bytes) {
    std::size_t end = message_bytes;
    // Back to the first byte of the character that would be cut; three bytes at most.
    while (end > 0 && message_bytes - end < 3 &&
           (static_cast<unsigned char>(message[end]) & 0xC0U) == 0x80U) {
      --end;
    }
    message = message.substr(0, end);
  }
  Members members;
  members.set("code", to_string(error.code)).set("message", message);
  return std::string(members.text());
}

}  // namespace v0
}  // namespace cleave
