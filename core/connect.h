// SPDX-License-Identifier: MIT
#pragma once
// Internal: connecting, without anybody who has to keep the attempt.

#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"
#include "cleave/core/socket_stream.h"

namespace cleave {
inline namespace v0 {

// Connects to a tcp:// or unix: endpoint; `done` is called later, once, unless the loop ends first:
// with the stream, or the endpoint's own error, or `unavailable`.
void connect_stream(Loop& loop, const Result<Endpoint>& endpoint, Millis timeout,
                    SocketConnector::Done done);

}  // namespace v0
}  // namespace cleave
