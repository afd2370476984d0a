// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace cleave::cli {

// What is wrong with what was typed, in a sentence: what was expected, and what came.

// A check of an option's value, as CLI11 has it: empty for a whole number of this range.
[[nodiscard]] std::function<std::string(const std::string& text)> whole_number(std::uint64_t least,
                                                                               std::uint64_t most);
// What `app` has failed to parse.
[[nodiscard]] std::string usage_sentence(const CLI::App& app, const CLI::ParseError& error);

}  // namespace cleave::cli
