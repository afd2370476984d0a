// SPDX-License-Identifier: MIT
#include "cleave/bin/client/server_description.h"

namespace cleave::cli {
namespace {

// A thousand commands with a page of help each come to less.
constexpr HeaderLimits kDescriptionLimits = {
    .header_bytes = 16 * 1024 * 1024, .depth = 16, .values = 1'000'000};

}  // namespace

Result<Ref<const Header>> parse_description(std::string_view json) {
  if (json.size() > kDescriptionLimits.header_bytes) {
    return fail(Errc::too_large, "what the server says is too long");
  }
  return HeaderParser(kDescriptionLimits).parse(json);
}

}  // namespace cleave::cli
