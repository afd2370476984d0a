// SPDX-License-Identifier: MIT
#include "cleave/protocol/encoder.h"

#include <array>
#include <cassert>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>

#include "cleave/protocol/members.h"
#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::size_t kPrefixSize = 4;
constexpr std::size_t kNumberSize = 20;  // 2^64-1 has so many digits
// All that a head can have beside its command, its status, its members and its blanks.
constexpr std::string_view kAllWords = R"({"cmd":,"id":,"more":true,"data_size":,"status":"",})";

// Writes into room that was made before: a string's own append looks for room each time, and a
// head has a dozen pieces.
class Pen {
 public:
  explicit Pen(char* at) noexcept : at_(at) {}

  Pen& write(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  Pen& write(std::uint64_t number) noexcept {
    if (number < 10) {
      *at_++ = static_cast<char>('0' + number);
    } else {
      at_ = std::to_chars(at_, at_ + kNumberSize, number).ptr;
    }
    return *this;
  }
  // Instead of the comma behind the last member, or behind the opening brace of none.
  void close_object() noexcept {
    if (at_[-1] == ',') --at_;
    *at_++ = '}';
  }
  [[nodiscard]] char* at() const noexcept { return at_; }

 private:
  char* at_;
};

std::string quoted_cmd(std::string_view cmd) {
  std::string out;
  if (!cmd.empty()) append_json_string(out, cmd);
  return out;
}

}  // namespace

// Written by hand, as a writer of the JSON library costs a fifth of the messages per second. Each
// member is followed by a comma, and the last comma becomes the brace.
Result<void> append_head(std::string& out, const OutgoingHead& head, std::uint32_t header_bytes) {
  assert(!head.more || head.id.has_value());
  const std::string cmd = quoted_cmd(head.cmd);
  const std::size_t most = kPrefixSize + kAllWords.size() + 2 * kNumberSize + cmd.size() +
                           head.status.size() + head.members.size();
  std::array<char, 256> usual;
  std::unique_ptr<char[]> longer;
  char* start = usual.data();
  if (most > usual.size()) {
    longer = std::make_unique_for_overwrite<char[]>(most);
    start = longer.get();
  }
  Pen pen(start + kPrefixSize);
  pen.write("{");
  if (!cmd.empty()) pen.write("\"cmd\":").write(cmd).write(",");
  if (head.id) pen.write("\"id\":").write(*head.id).write(",");
  if (head.more) pen.write("\"more\":true,");
  if (head.data_size != 0 || head.write_data_size) {
    pen.write("\"data_size\":").write(head.data_size).write(",");
  }
  if (!head.status.empty()) pen.write("\"status\":\"").write(head.status).write("\",");
  if (!head.members.empty()) pen.write(head.members).write(",");
  pen.close_object();

  const auto written = static_cast<std::size_t>(pen.at() - start);
  const std::size_t size = written - kPrefixSize + head.blanks;
  if (size > header_bytes) {
    return fail(Errc::too_large, "the header would be " + std::to_string(size) +
                                     " bytes, and the limit (header_bytes) is " +
                                     std::to_string(header_bytes));
  }
  for (std::size_t i = 0; i < kPrefixSize; ++i) {
    start[i] = static_cast<char>((size >> (8 * i)) & 0xFFU);
  }
  out.append(start, written);
  if (head.blanks > 0) out.append(head.blanks, ' ');
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
