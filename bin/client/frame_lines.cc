// SPDX-License-Identifier: MIT
#include "cleave/bin/client/frame_lines.h"

#include <limits>
#include <utility>
#include <variant>

#include "cleave/bin/client/text.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/utf8.h"

namespace cleave::cli {
namespace {

constexpr std::uint64_t kPrefixBytes = 4;

// A one-way put says how long its body is in a member of its own.
std::uint64_t size_of_body(const Header& header) {
  if (header.frame().data_size) return *header.frame().data_size;
  if (header.string_or("cmd", "").value_or("") != "put" || header.frame().more ||
      header.find("upload")) {
    return 0;
  }
  std::string_view member;
  if (header.find("file_name")) member = "file_size";
  if (header.find("filesize")) member = "filesize";
  if (member.empty()) return 0;
  const auto size = header.integer_or(member, 0, std::numeric_limits<std::int64_t>::max(), 0);
  return static_cast<std::uint64_t>(size.value_or(0));
}

}  // namespace

void FrameLines::feed(std::string_view bytes, std::string& out) {
  while (!fault_) {
    // The decoder does not tell the length of a header that has not come yet.
    const std::uint64_t before = offset_ - frame_at_;
    if (before < kPrefixBytes) {
      for (std::uint64_t i = before; i < kPrefixBytes && i - before < bytes.size(); ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i - before]);
        if (i == 0) header_bytes_ = 0;
        header_bytes_ |= static_cast<std::uint32_t>(byte) << (8 * i);
      }
    }
    const std::size_t size = bytes.size();
    const Result<Decoder::Event> event = decoder_.next(bytes);
    offset_ += size - bytes.size();
    if (!event) {
      const bool in_header = offset_ > frame_at_ + kPrefixBytes;
      const std::uint64_t at =
          in_header ? frame_at_ + kPrefixBytes + parser_.fault_at() : frame_at_;
      return refuse(at, event.error(), std::nullopt, out);
    }
    if (std::holds_alternative<Decoder::NeedMore>(*event)) return;
    if (const auto* head = std::get_if<Decoder::Head>(&*event)) begin(*head->header);
    if (const auto* body = std::get_if<Decoder::Body>(&*event)) {
      if (body_bytes_ <= text_bytes_) text_ += body->bytes;
    }
    if (std::holds_alternative<Decoder::End>(*event)) end(out);
  }
}

void FrameLines::begin(const Header& header) {
  header_ = json_line(header.json());
  body_at_ = offset_;
  body_bytes_ = size_of_body(header);
  if (!header.frame().data_size) decoder_.set_body_size(body_bytes_);
}

void FrameLines::end(std::string& out) {
  Members line;
  line.set("offset", frame_at_).set("header_bytes", header_bytes_).set_raw("header", header_);
  line.set("body_offset", body_at_).set("body_bytes", body_bytes_);
  if (body_bytes_ != 0 && body_bytes_ <= text_bytes_ && is_utf8(text_)) line.set("text", text_);
  out += json_line(line.object()) + "\n";
  text_.clear();
  frame_at_ = offset_;
}

void FrameLines::finish(std::string& out) {
  if (fault_ || !decoder_.inside_frame()) return;
  const std::uint64_t come = offset_ - frame_at_;
  std::string where;
  std::uint64_t missing = 0;
  if (come < kPrefixBytes) {
    missing = kPrefixBytes - come;
    where = "its header's length, after " + std::to_string(come) + " bytes of 4";
  } else if (decoder_.inside_header()) {
    missing = kPrefixBytes + header_bytes_ - come;
    where = "its header, after " + std::to_string(come - kPrefixBytes) + " bytes of " +
            std::to_string(header_bytes_);
  } else {
    missing = decoder_.body_remaining();
    where = "its body, after " + std::to_string(body_bytes_ - missing) + " bytes of " +
            std::to_string(body_bytes_);
  }
  refuse(offset_,
         {Errc::protocol_error,
          "the frame at byte " + std::to_string(frame_at_) + " is cut short inside " + where},
         missing, out);
}

void FrameLines::refuse(std::uint64_t offset, Error error, std::optional<std::uint64_t> missing,
                        std::string& out) {
  Members line;
  line.set("offset", offset).set("code", to_string(error.code)).set("message", error.message);
  if (missing) line.set("missing", *missing);
  out += json_line(line.object()) + "\n";
  error.message = "at byte " + std::to_string(offset) + " of the input: " + error.message;
  fault_ = std::move(error);
}

}  // namespace cleave::cli
