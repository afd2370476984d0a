// SPDX-License-Identifier: MIT
// How long the protocol's parts take by themselves: cutting bytes into frames, parsing headers,
// writing heads. For looking closely at one of them; what a whole message costs is counted by
// bench/instructions.
//
//     bench_micro [--benchmark_filter=REGEX]
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/members.h"

using namespace cleave;

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;  // as much as a connection takes in one read

enum class Ids { none, counting };

// Whole requests, `bytes` of them or a little more, and more than a parser remembers.
std::string stream_of(Ids ids, std::size_t body_bytes, std::size_t bytes) {
  std::string stream;
  std::uint64_t id = 10'000;
  for (int i = 0; i < 8 || stream.size() < bytes; ++i) {
    OutgoingHead head{.cmd = "echo", .data_size = body_bytes};
    if (ids == Ids::counting) head.id = id++;
    if (!append_head(stream, head)) return {};
    stream.append(body_bytes, 'x');
  }
  return stream;
}

// The frames of a stream that comes in pieces.
std::int64_t decode(Decoder& decoder, std::string_view stream, std::size_t piece_bytes) {
  std::int64_t frames = 0;
  while (!stream.empty()) {
    std::string_view piece = stream.substr(0, piece_bytes);
    stream.remove_prefix(piece.size());
    for (;;) {
      const Result<Decoder::Event> event = decoder.next(piece);
      if (!event) return -1;
      if (std::holds_alternative<Decoder::NeedMore>(*event)) break;
      if (std::holds_alternative<Decoder::End>(*event)) ++frames;
    }
  }
  return frames;
}

void decoder(benchmark::State& state, Ids ids, std::size_t body_bytes, std::size_t piece_bytes) {
  const std::string stream = stream_of(ids, body_bytes, kReadBytes);
  HeaderParser parser;
  Decoder decoder(parser);
  std::int64_t frames = 0;
  for (auto _ : state) {
    const std::int64_t more = decode(decoder, stream, piece_bytes);
    if (more <= 0) return state.SkipWithError("the stream is not of frames");
    frames += more;
  }
  state.SetItemsProcessed(frames);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
}
BENCHMARK_CAPTURE(decoder, repeated_headers, Ids::none, 64, kReadBytes);
BENCHMARK_CAPTURE(decoder, counting_ids, Ids::counting, 64, kReadBytes);
BENCHMARK_CAPTURE(decoder, no_bodies, Ids::none, 0, kReadBytes);
BENCHMARK_CAPTURE(decoder, bodies_of_1_MiB, Ids::none, std::size_t{1} << 20, kReadBytes);
BENCHMARK_CAPTURE(decoder, in_pieces_of_16_bytes, Ids::none, 64, 16);
BENCHMARK_CAPTURE(decoder, in_single_bytes, Ids::none, 64, 1);

// A request whose header has about `bytes` bytes.
std::string header_of(std::size_t bytes) {
  Members members;
  members.set("cmd", "put").set("name", "albums/photo.raw").set("data_size", 1'048'576);
  constexpr std::size_t kWord = 32;
  for (std::size_t i = 0; members.text().size() + 2 * kWord < bytes; ++i) {
    members.set("member_" + std::to_string(i), std::string(kWord, 'v'));
  }
  return members.object();
}

// Every header is another one, as they are of a client that counts.
void header(benchmark::State& state, std::string json) {
  constexpr std::size_t kDigits = 7;
  std::uint32_t id = 1'000'000;
  json.insert(json.size() - 1, ",\"id\":" + std::to_string(id));
  HeaderLimits limits;
  limits.values = 65'536;
  HeaderParser parser(limits);
  for (auto _ : state) {
    id = id == 9'999'999 ? 1'000'000 : id + 1;
    json.replace(json.size() - kDigits - 1, kDigits, std::to_string(id));
    Result<Ref<const Header>> header = parser.parse(json);
    if (!header) return state.SkipWithError("the header is none");
    benchmark::DoNotOptimize(header);
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(json.size()));
}
BENCHMARK_CAPTURE(header, short, R"({"cmd":"ping"})");
BENCHMARK_CAPTURE(header, typical, header_of(0));
BENCHMARK_CAPTURE(header, of_4_KiB, header_of(4 * 1024));
BENCHMARK_CAPTURE(header, of_64_KiB, header_of(64 * 1024 - 64));

void encoder(benchmark::State& state, std::string_view members) {
  std::string out;
  std::uint64_t id = 10'000;
  for (auto _ : state) {
    out.clear();
    if (!append_head(out, {.id = ++id, .data_size = 64, .status = "ok", .members = members})) {
      return state.SkipWithError("the head is too large");
    }
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(out.size()));
}
BENCHMARK_CAPTURE(encoder, ok, "");
BENCHMARK_CAPTURE(encoder, ok_with_members, R"("exit_code":0,"signal":null,"truncated":false)");

}  // namespace

BENCHMARK_MAIN();
