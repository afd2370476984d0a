// SPDX-License-Identifier: MIT
// What is written is read back as it was meant.
#include <optional>
#include <string>

#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/utf8.h"
#include "fuzz.h"
#include "naive_header.h"

using namespace cleave;
using cleave::fuzz::Choices;
using cleave::fuzz::require;

namespace {

void require_text(const Header& header, std::string_view name, std::string_view text) {
  const auto value = header.find(name);
  require(value && value->string(), "a text comes back as one");
  // Bytes that are no text have become U+FFFD.
  if (is_utf8(text)) require(*value->string() == text, "and as the same one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static HeaderParser parser;
  Choices input(data, size);
  const std::uint8_t flags = input.byte();
  // Narrow limits for one in eight, so that they are met.
  const std::uint32_t header_bytes = (flags >> 5U) == 7 ? 64 + input.byte() : 65'536;
  const std::uint64_t id = input.number(8) & ((std::uint64_t{1} << 53) - 1);
  const std::uint64_t data_size = input.number(8) & ((std::uint64_t{1} << 63) - 1);
  const std::string cmd(input.bytes(input.byte()));
  const std::string text(input.bytes(input.number(2)));
  const std::string message(input.rest());

  Members members;
  members.set("text", text);
  const Error error{Errc::io_error, message};
  const bool failed = (flags & 1U) != 0;
  const bool has_id = (flags & 2U) != 0;
  const bool more = has_id && (flags & 4U) != 0;
  std::string all = failed ? error_members(error) + "," : std::string();
  all += members.text();
  std::string out = "before";
  const auto appended = append_head(out,
                                    {.cmd = cmd,
                                     .id = has_id ? std::optional(id) : std::nullopt,
                                     .more = more,
                                     .data_size = data_size,
                                     .write_data_size = (flags & 8U) != 0,
                                     .status = failed ? "error" : "ok",
                                     .members = all,
                                     .blanks = (flags >> 4U) & 1U},
                                    header_bytes);
  if (!appended) {
    require(appended.error().code == Errc::too_large, "only its size can refuse a header");
    require(header_bytes < 65'536 || size > 8'192, "and only a large one");
    require(out == "before", "a header that is refused leaves nothing behind");
    return 0;
  }
  std::string_view bytes = out;
  bytes.remove_prefix(6);
  require(bytes.size() <= 4 + header_bytes, "a header is within its limit");
  Decoder decoder(parser);
  const auto event = decoder.next(bytes);
  require(event && std::holds_alternative<Decoder::Head>(*event) && bytes.empty(),
          "what was written is one whole head");
  const Header& header = *std::get<Decoder::Head>(*event).header;
  require(fuzz::NaiveHeader(header.json(), parser.limits()).good(), "and breaks no rule");
  require(header.frame().id == (has_id ? std::optional(id) : std::nullopt), "the id is kept");
  require(header.frame().more == more, "more is kept");
  require(header.frame().data_size.value_or(0) == data_size, "the size is kept");
  if (!cmd.empty()) require_text(header, "cmd", cmd);
  require_text(header, "text", text);
  if (failed) {
    require(header.string("code").value() == "io_error", "the code is kept");
    if (message.size() <= 1'024) require_text(header, "message", message);
  }
  return 0;
}
