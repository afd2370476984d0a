// SPDX-License-Identifier: MIT
#pragma once
// Internal: members that several commands of the store read alike.

#include <cstdint>
#include <string_view>

#include "cleave/core/request.h"
#include "cleave/handlers/file_name.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// The end of the year 9999: file systems differ in what they can keep beyond it.
inline constexpr std::int64_t kMaxTime = 253'402'300'799'999;

// A member that names a file.
[[nodiscard]] inline Result<FileName> name_argument(const Request& request,
                                                    std::string_view member) {
  Result<std::string_view> text = request.string(member);
  if (!text) return fail(std::move(text.error()));
  return FileName::parse(*text);
}

}  // namespace v0
}  // namespace cleave
