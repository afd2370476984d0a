// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/core/retry.h"

namespace cleave::cli {

// How often something is tried again that may be, where nobody has said it.
inline constexpr unsigned kRetries = 3;

// How often, and after which times, a transfer is tried.
[[nodiscard]] RetryOptions transfer_retries(const Settings& settings);

// Sends a request that may be sent twice, and has its reply's body in a string, as Session::run().
// A connection that breaks, and a server that cannot just now, are tried again, where the server
// was there at all or the user wants it so: whoever asks for one that was never there is told at
// once. Only in frames: on the other wires nobody knows what a request does, and datagrams are
// repeated already.
[[nodiscard]] Outcome run_repeatable(Session& session, const Settings& settings, const Call& call,
                                     std::string& body);

}  // namespace cleave::cli
