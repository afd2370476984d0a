// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cleave/bin/client/settings.h"

namespace CLI {
class App;
}

namespace cleave::cli {

// `cleave --complete WORD...`, for shells: prints what could stand in place of the last word, which
// may be empty, where the others stand between `cleave` and that. A line for each, and behind a tab
// what there is to say of it. Ends the process with 0 whatever happens, with nothing on standard
// error, and without waiting for anybody for much longer than a second.
//
// `app` has the options that stand before a command; parsed, they set the settings, and `preset`
// sets those that are not among the words, and returns the names of profiles.
[[noreturn]] void print_candidates(CLI::App& app, const Settings& settings,
                                   std::vector<std::string> words,
                                   const std::function<std::vector<std::string>()>& preset);

}  // namespace cleave::cli
