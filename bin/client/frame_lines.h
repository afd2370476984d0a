// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/protocol/decoder.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {

// Describes the frames of a byte stream, of requests or of replies, each in a line of JSON:
//
//     {"offset":0,"header_bytes":28,"header":{"cmd":"echo","data_size":5},"body_offset":32,
//      "body_bytes":5}
//
// and a fault, after which nothing can be told, in a last one:
//
//     {"offset":37,"code":"protocol_error","message":"…"}
//
// Whatever the pieces are in which the stream comes. It holds a header at most, and of a body as
// much as is shown.
class FrameLines {
 public:
  // Of a body that is UTF-8 and not longer than `text_bytes`, the text is a member, "text".
  FrameLines(const HeaderLimits& limits, std::size_t text_bytes)
      : parser_(limits), text_bytes_(text_bytes) {}
  FrameLines(const FrameLines&) = delete;
  FrameLines& operator=(const FrameLines&) = delete;

  // Appends the lines of the frames that end in these bytes.
  void feed(std::string_view bytes, std::string& out);
  // The stream has ended: appends a line where that is inside a frame. "missing" is how many bytes
  // were needed at least.
  void finish(std::string& out);

  // What was wrong with the stream; nothing more is read then.
  [[nodiscard]] const std::optional<Error>& fault() const noexcept { return fault_; }

 private:
  void begin(const Header& header);
  void end(std::string& out);
  void refuse(std::uint64_t offset, Error error, std::optional<std::uint64_t> missing,
              std::string& out);

  HeaderParser parser_;
  std::size_t text_bytes_;
  Decoder decoder_{parser_};
  std::uint64_t offset_ = 0;    // of the next byte
  std::uint64_t frame_at_ = 0;  // where the frame begins
  std::uint64_t body_at_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::uint32_t header_bytes_ = 0;  // as far as its digits have come
  std::string header_;
  std::string text_;
  std::optional<Error> fault_;
};

}  // namespace cleave::cli
