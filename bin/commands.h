// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>

#include "cleave/bin/config.h"
#include "cleave/core/limits.h"
#include "cleave/core/loop.h"
#include "cleave/core/metrics.h"
#include "cleave/core/router.h"
#include "cleave/handlers/file_store.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Registers the commands that cleaved offers, and gives the store that they use. Fails where one
// cannot do its work: a folder for files that cannot be used. `limits` tells those in force;
// `metrics` outlives the router.
[[nodiscard]] Result<std::shared_ptr<const FileStore>> add_commands(Router& router, Loop& loop,
                                                                    const Config& config,
                                                                    const Metrics& metrics,
                                                                    std::function<Limits()> limits);

// Whether what the configuration listens on has something to offer: `invalid_argument` for a bare
// wire without a command, or with one that has no bare messages. Nothing is opened.
[[nodiscard]] Result<void> check_offers(const Config& config);

}  // namespace v0
}  // namespace cleave
