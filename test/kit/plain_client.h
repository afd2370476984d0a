// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/file.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/members.h"

namespace cleave::testing {

// A frame of a reply.
struct CLEAVE_API Frame {
  Ref<const Header> header;
  std::string body;

  [[nodiscard]] std::string text(std::string_view name) const;  // "" if there is none
  [[nodiscard]] std::optional<std::int64_t> number(std::string_view name) const;
  [[nodiscard]] bool flag(std::string_view name) const;
  [[nodiscard]] bool ok() const { return text("status") == "ok"; }
};

// All of a reply with an id.
struct Streamed {
  std::string out;
  std::string err;
  Frame last;
};

// A client that knows sockets and frames and nothing else.
class CLEAVE_API PlainClient {
 public:
  // Connects to 127.0.0.1.
  explicit PlainClient(std::uint16_t port);

  // Sends one frame; `data_size` is added to the members.
  void send(Members members, std::string_view body = {});
  // Sends bytes as they are.
  void write(std::string_view bytes);
  // The next frame. Throws at the end of the connection, after a minute without a byte, and at
  // what is no frame.
  Frame read();
  // send() and read().
  Frame ask(Members members, std::string_view body = {});
  // Reads the frames of one reply (of exec) up to its last.
  Streamed read_streamed();

  // The server sees a reset.
  void reset();

 private:
  Fd fd_;
  HeaderParser parser_;
  Decoder decoder_{parser_};
  std::string input_;
  std::size_t used_ = 0;
};

}  // namespace cleave::testing
