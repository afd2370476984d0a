// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cleave/bin/client/session.h"

namespace cleave::cli {

// Asks the server what it has under a name: `stat`.
[[nodiscard]] Outcome status_of(Session& session, const Settings& settings,
                                const std::string& name);

}  // namespace cleave::cli
