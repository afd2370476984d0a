// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string_view>

namespace cleave::cli {

// The one of some names that somebody who typed `word` has meant: it begins so, or differs by few
// letters that were forgotten, added, mistaken or swapped. Empty where none is near.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> names);

}  // namespace cleave::cli
