// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace cleave::cli {

// What the environment says. Nothing here changes it, so any thread may ask at any time.

// None where it is not set, which is something else than empty.
[[nodiscard]] std::optional<std::string> environment_variable(const std::string& name);

// HOME. A relative one, or an empty one, counts as none: what is to be found there would be
// somewhere else each time.
[[nodiscard]] std::optional<std::string> home_folder();

// Where the user's files of one kind are: what `variable` says, as XDG_STATE_HOME, or else `usual`,
// as ".local/state", in the home. Here, too, a relative one counts as none, as the specification of
// these folders says.
[[nodiscard]] std::optional<std::string> user_folder(const std::string& variable,
                                                     const std::string& usual);

}  // namespace cleave::cli
