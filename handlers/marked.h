// SPDX-License-Identifier: MIT
#pragma once
// Internal: the descendants of a run, wherever they went.

#include <string>
#include <string_view>

namespace cleave {
inline namespace v0 {

// The name of the variable that everybody inherits who descends from a run, unless he takes it out
// of his environment on purpose.
inline constexpr std::string_view kMarkName = "CLEAVE_RUN";

// A value that no other run has.
[[nodiscard]] std::string make_mark();
// Kills all processes that have the mark, and looks again until there is none. It reads the
// environments of all processes that it may read, so it runs in the pool. Where the system does not
// show them, it does nothing.
void kill_marked(const std::string& mark);

}  // namespace v0
}  // namespace cleave
