// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace cleave {
inline namespace v0 {

// What `program` sets right in its process before it does anything else: standard descriptors that
// the parent closed lead to /dev/null, lest a socket or a file of ours gets their numbers and a log
// line is written into it; SIGPIPE and SIGXFSZ are ignored, so that a peer that has gone or a file
// that is too large is an error of one call and not the end of the process; an allocation that
// fails ends the process with a sentence and the status 1; libuv's pool will have 8 threads, unless
// UV_THREADPOOL_SIZE says something else already.
void prepare_process(const char* program);

// Raises the soft limit of open descriptors, as far as the system allows, to what `connections`,
// `others` (files and pipes) and the process itself need. Returns how many connections there is
// room for then, at most `connections`: where there is not enough for all, they get a half.
[[nodiscard]] std::uint64_t make_room_for(std::uint64_t connections, std::uint64_t others);

}  // namespace v0
}  // namespace cleave
