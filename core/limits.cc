// SPDX-License-Identifier: MIT
#include "cleave/core/limits.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint64_t kHour = 3'600'000;
constexpr std::uint64_t kDay = 24 * kHour;

constexpr LimitInfo kTable[] = {
    {"header_bytes", &Limits::header_bytes, 8 * kKiB, 16 * kMiB,
     "a header holds a command line, not data; this one fits the longest command lines in use"},
    {"header_depth", &Limits::header_depth, 2, 256,
     "no built-in command nests deeper than 3, and the depth bounds the parser's stack"},
    {"header_values", &Limits::header_values, 16, 1'000'000,
     "bounds the work and the memory that one header can cost"},
    {"header_key_bytes", &Limits::header_key_bytes, 16, 64 * kKiB,
     "names of members are words, not data"},
    {"max_connections", &Limits::max_connections, 1, 1'000'000,
     "each takes a descriptor, so it must stay below the system's limit of open files"},
    {"max_connections_per_address", &Limits::max_connections_per_address, 1, 1'000'000,
     "one host must not take all places; IPv6 addresses with the same first 64 bits are one host"},
    {"max_connections_per_loopback_address", &Limits::max_connections_per_loopback_address, 1,
     1'000'000, "this machine's own programs, and proxies on it, come from there for everybody"},
    {"max_in_flight", &Limits::max_in_flight, 1, 100'000,
     "requests of one connection that run at once: nobody may take all of a server's work"},
    {"max_refused_per_minute", &Limits::max_refused_per_minute, 1, 1'000'000'000,
     "whoever goes on asking for what was refused costs work and log lines, and is let go"},
    {"memory_bytes", &Limits::memory_bytes, 8 * kMiB, 1024 * kGiB,
     "all that is held for all peers at once: bodies, replies, headers; fits a small machine"},
    {"window_bytes", &Limits::window_bytes, kMiB, kGiB,
     "what came by one connection and is not done with; covers a fast network's round trip"},
    {"output_bytes", &Limits::output_bytes, 64 * kKiB, kGiB,
     "replies that wait for one reader; the rest of them is asked for when it reads"},
    {"output_hard_bytes", &Limits::output_hard_bytes, 64 * kKiB, 64 * kGiB,
     "whole replies that wait for one reader; one is always taken, and then so many bytes of more"},
    {"collected_body_bytes", &Limits::collected_body_bytes, 4 * kKiB, kGiB,
     "the bodies that handlers want whole are held in memory until they are complete"},
    {"collected_reply_bytes", &Limits::collected_reply_bytes, 4 * kKiB, kGiB,
     "a reply of unknown size without an id is held until it is complete"},
    {"frame_bytes", &Limits::frame_bytes, 4 * kKiB, 64 * kMiB,
     "a long reply is cut into frames of this size, so that short ones pass between them"},
    {"body_rate_bytes", &Limits::body_rate_bytes, 0, kGiB,
     "a second: no network in use is slower, so whoever is holds up a place on purpose; 0: any"},
    {"body_grace_ms", &Limits::body_grace_ms, 100, kHour,
     "a body's rate is measured over so long; covers a network that was away for a moment"},
    {"header_timeout_ms", &Limits::header_timeout_ms, 100, kHour,
     "a header is one small write: whoever takes longer, from its first byte on, holds up a place"},
    {"idle_timeout_ms", &Limits::idle_timeout_ms, 100, 30 * kDay,
     "a connection on which nothing runs and nothing moves is given back"},
    {"write_stall_timeout_ms", &Limits::write_stall_timeout_ms, 100, kDay,
     "a reader that takes not one byte of its reply for so long has gone"},
    {"request_timeout_ms", &Limits::request_timeout_ms, 100, 30 * kDay,
     "a handler that answers nothing for so long has lost its request; only without a timeout_ms"},
    {"ready_timeout_ms", &Limits::ready_timeout_ms, 100, kHour,
     "a client of the wire ready answers a length at once; until then its result is held for it"},
    {"discard_timeout_ms", &Limits::discard_timeout_ms, 100, kHour,
     "the body of a refused request is dropped for so long, then its connection is not worth it"},
    {"linger_timeout_ms", &Limits::linger_timeout_ms, 0, kHour,
     "input that still comes after a last error is dropped, so that the error can be read"},
    {"overload_timeout_ms", &Limits::overload_timeout_ms, 100, kHour,
     "out of memory for so long, the server ends the connections that hold most of it"},
    {"cancel_grace_ms", &Limits::cancel_grace_ms, 0, kHour,
     "a cancelled handler may say how far it came; a program that ignores SIGTERM needs 2,500"},
    {"drain_timeout_ms", &Limits::drain_timeout_ms, 0, kDay,
     "what runs when the server stops may end by itself, within what service managers wait for"},
};

// Every field is a std::uint64_t, so a field that the table lacks shows in the size.
static_assert(std::size(kTable) * sizeof(std::uint64_t) == sizeof(Limits));

}  // namespace

HeaderLimits Limits::header() const noexcept {
  // The table's ranges keep all of them within 32 bits.
  return {.header_bytes = static_cast<std::uint32_t>(header_bytes),
          .depth = static_cast<std::uint32_t>(header_depth),
          .values = static_cast<std::uint32_t>(header_values),
          .key_bytes = static_cast<std::uint32_t>(header_key_bytes)};
}

std::span<const LimitInfo> limit_table() noexcept {
  return kTable;
}

}  // namespace v0
}  // namespace cleave
