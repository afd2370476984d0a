// SPDX-License-Identifier: MIT
// A stream of any bytes, cut anywhere, against a decoder that has them all at once.
#include <algorithm>
#include <optional>
#include <string>

#include "cleave/protocol/decoder.h"
#include "fuzz.h"

using namespace cleave;
using cleave::fuzz::Choices;
using cleave::fuzz::require;

namespace {

constexpr std::size_t kTranscript = 1 << 20;

// As protocol/README.md describes it, with everything in memory.
std::string decode_whole(std::string_view bytes, HeaderParser& parser) {
  std::string events;
  while (!bytes.empty()) {
    if (bytes.size() < 4) return events + "inside a header";
    std::uint32_t length = 0;
    for (int i = 3; i >= 0; --i) {
      length = length << 8U | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    }
    if (length < 2 || length > parser.limits().header_bytes) return events + "error";
    if (bytes.size() - 4 < length) return events + "inside a header";
    const auto header = parser.parse(bytes.substr(4, length));
    if (!header) return events + "error";
    events.append("head ").append((*header)->json()).append("\n");
    bytes.remove_prefix(4 + length);
    const std::uint64_t size = (*header)->frame().data_size.value_or(0);
    const std::string_view body =
        bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(size, bytes.size())));
    events += body;
    bytes.remove_prefix(body.size());
    if (body.size() < size) {
      return events + "inside a body " + std::to_string(size - body.size());
    }
    events += "end\n";
  }
  return events;
}

std::string decode_in_pieces(std::string_view bytes, HeaderParser& parser, Choices splits) {
  Decoder decoder(parser);
  std::string events;
  std::optional<std::string> error;
  while (!bytes.empty()) {
    const std::size_t size = std::max<std::size_t>(splits.byte() % 64U, 1);
    std::string piece(bytes.substr(0, size));  // gone after it was fed, as a read buffer is
    bytes.remove_prefix(piece.size());
    for (std::string_view input = piece;;) {
      const std::size_t before = input.size();
      const auto event = decoder.next(input);
      require(input.size() <= before, "input is only taken");
      if (!event) {
        require(!error || *error == event.error().message, "an error is final");
        error = event.error().message;
        const auto repeated = decoder.next(input);
        require(!repeated && repeated.error().message == *error, "and is said again");
        break;
      }
      require(!error, "nothing comes after an error");
      if (std::holds_alternative<Decoder::NeedMore>(*event)) {
        require(input.empty(), "more is needed only when all is taken");
        break;
      }
      if (const auto* head = std::get_if<Decoder::Head>(&*event)) {
        events.append("head ").append(head->header->json()).append("\n");
      } else if (const auto* body = std::get_if<Decoder::Body>(&*event)) {
        require(!body->bytes.empty(), "a piece of a body is not empty");
        require(body->remaining == decoder.body_remaining(), "what remains is known");
        events += body->bytes;
      } else {
        events += "end\n";
      }
    }
  }
  if (error) return events + "error";
  if (!decoder.inside_frame()) return events;
  if (decoder.inside_header()) return events + "inside a header";
  return events + "inside a body " + std::to_string(decoder.body_remaining());
}

}  // namespace

// The first byte says how many of those behind it are the sizes of the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static HeaderParser parser;
  if (size > kTranscript) return 0;
  Choices input(data, size);
  const std::string_view sizes = input.bytes(input.byte());
  const std::string_view bytes = input.rest();
  const Choices splits(reinterpret_cast<const std::uint8_t*>(sizes.data()), sizes.size());
  require(decode_in_pieces(bytes, parser, splits) == decode_whole(bytes, parser),
          "where a stream is cut does not matter");
  return 0;
}
