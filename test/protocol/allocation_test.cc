// SPDX-License-Identifier: MIT
// What the protocol layer asks of the allocator. The program's operator new counts for this.

#include <doctest/doctest.h>
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"
#include "cleave/testing/frame_bytes.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

std::size_t allocations = 0;
std::size_t allocated_bytes = 0;
std::size_t live_bytes = 0;

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  ++allocations;
  allocated_bytes += size;
  live_bytes += malloc_usable_size(memory);
  return memory;
}

void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  live_bytes -= malloc_usable_size(memory);
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

namespace {

// Decodes everything in `input`; the number of frames that ended, or -1 for an error.
int frames(Decoder& decoder, std::string_view input) {
  int ended = 0;
  for (;;) {
    const auto event = decoder.next(input);
    if (!event) return -1;
    if (std::holds_alternative<Decoder::NeedMore>(*event)) return ended;
    if (std::holds_alternative<Decoder::End>(*event)) ++ended;
  }
}

std::string numbered_frame(int number) {
  return frame_bytes("{\"cmd\":\"echo\",\"id\":" + std::to_string(number) +
                         ",\"data_size\":5,\"args\":[\"a\",{\"b\":null}]}",
                     "hello");
}

}  // namespace

TEST_CASE("decoding frames that arrive whole allocates nothing once warm") {
  HeaderParser parser;
  Decoder decoder(parser);
  std::vector<std::string> wires;
  for (int i = 100; i < 200; ++i) wires.push_back(numbered_frame(i));
  for (int i = 0; i < 10; ++i) REQUIRE(frames(decoder, wires[static_cast<std::size_t>(i)]) == 1);
  const std::size_t before = allocations;
  int ended = 0;
  for (const std::string& wire : wires) ended += frames(decoder, wire);
  CHECK(allocations == before);
  CHECK(ended == 100);
}

TEST_CASE("writing a head allocates nothing where there is room") {
  std::string out;
  out.reserve(1'000);
  const std::size_t before = allocations;
  const bool written = append_head(out, {.cmd = "echo",
                                         .id = 7,
                                         .more = true,
                                         .data_size = 12'345,
                                         .status = "ok",
                                         .members = "\"exit_code\":0"})
                           .has_value();
  CHECK(allocations == before);
  CHECK(written);
}

TEST_CASE("a declared length or size costs no memory") {
  HeaderParser parser;
  Decoder decoder(parser);
  REQUIRE(frames(decoder, frame_bytes("{}")) == 1);
  const std::size_t before = live_bytes;
  CHECK(frames(decoder, length_bytes(65'536)) == 0);
  CHECK(live_bytes == before);
  CHECK(frames(decoder, "{\"a\":") == 0);
  CHECK(live_bytes <= before + 128);

  Decoder other(parser);
  CHECK(frames(other, frame_bytes(R"({"data_size":9223372036854775807})")) == 0);
  CHECK(live_bytes <= before + 1'024);
}

TEST_CASE("a header that trickles in costs memory and copies in proportion to its size") {
  HeaderParser parser;
  Decoder decoder(parser);
  const std::string wire = frame_bytes("{\"a\":\"" + std::string(60'000, 'x') + "\"}");
  const std::size_t before = allocated_bytes;
  const std::size_t live_before = live_bytes;
  std::size_t most = 0;
  int ended = 0;
  for (const char& byte : wire) {
    ended += frames(decoder, {&byte, 1});
    most = std::max(most, live_bytes - live_before);
  }
  CHECK(ended == 1);
  CHECK(most <= 4 * wire.size());
  CHECK(allocated_bytes - before <= 8 * wire.size());
}

TEST_CASE("what was held of a header is given back when the header is complete") {
  HeaderParser parser;
  Decoder decoder(parser);
  const std::string wire = frame_bytes("{\"a\":\"" + std::string(60'000, 'x') + "\"}");
  REQUIRE(frames(decoder, wire) == 1);
  const std::size_t before = live_bytes;
  REQUIRE(frames(decoder, std::string_view(wire).substr(0, 50'000)) == 0);
  CHECK(live_bytes >= before + 50'000);
  REQUIRE(frames(decoder, std::string_view(wire).substr(50'000)) == 1);
  CHECK(live_bytes <= before + 1'024);
}

TEST_CASE("a burst of headers leaves little memory behind, long ones none") {
  HeaderParser parser;
  const auto burst = [&parser](std::size_t count, std::size_t size) {
    std::vector<Ref<const Header>> headers;
    for (std::size_t i = 0; i < count; ++i) {
      headers.push_back(*parser.parse("{\"id\":" + std::to_string(i) + ",\"a\":\"" +
                                      std::string(size, 'x') + "\"}"));
    }
  };
  burst(10, 10);
  const std::size_t before = live_bytes;
  burst(300, 60'000);
  CHECK(live_bytes <= before + 4'096);
  burst(3'000, 1'000);
  CHECK(live_bytes <= before + 256 * 8'192);
}

TEST_CASE("a parser and its headers give all their memory back, whoever goes first") {
  const std::size_t before = live_bytes;
  {
    std::vector<Ref<const Header>> headers;
    HeaderParser parser;
    for (int i = 0; i < 500; ++i) {
      headers.push_back(*parser.parse("{\"id\":" + std::to_string(i) + "}"));
    }
    headers.resize(250);
  }
  CHECK(live_bytes == before);
}
