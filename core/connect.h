// SPDX-License-Identifier: MIT
#pragma once
// Internal: connecting, without anybody who has to keep the attempt.

#include <string_view>

#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"
#include "cleave/core/socket_stream.h"

namespace cleave {
inline namespace v0 {

// A URL with the wire frame over a stream, or `invalid_argument`.
[[nodiscard]] Result<Endpoint> frame_endpoint(std::string_view url);

// Connects to a tcp:// or unix: endpoint; `done` is called later, once, unless the loop ends first:
// with the stream, or the endpoint's own error, or `unavailable`.
void connect_stream(Loop& loop, const Result<Endpoint>& endpoint, Millis timeout,
                    SocketConnector::Done done);

}  // namespace v0
}  // namespace cleave
