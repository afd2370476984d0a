// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <span>

#include "cleave/core/limits.h"
#include "cleave/core/loop.h"
#include "cleave/core/metrics.h"
#include "cleave/core/router.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {

// The commands by which a server is watched: `ping`, `help`, `limits` and `stats`. Each takes no
// body, replies with one JSON object as its body, and works while the server drains.
//
// `limits` is called for every request of that name and writes the limits in force, each under its
// name (see write_limits). `loop`, `metrics` and `router` must outlive the router's use.
CLEAVE_API void add_introspection(Router& router, const Loop& loop, const Metrics& metrics,
                                  std::function<void(Members& into)> limits);

// Writes every limit of a table with its value: those of a server, of exec, of one's own.
template <typename Options>
void write_limits(Members& into, std::span<const LimitOf<Options>> table, const Options& options) {
  for (const LimitOf<Options>& limit : table) into.set(limit.name, options.*limit.field);
}

}  // namespace v0
}  // namespace cleave
