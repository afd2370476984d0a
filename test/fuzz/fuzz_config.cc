// SPDX-License-Identifier: MIT
// A configuration of any bytes: taken, or refused with one sentence.
#include <string>

#include "cleave/bin/config.h"
#include "fuzz.h"

using namespace cleave;
using cleave::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = parse_config({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (!config) {
    require(config.error().message.starts_with("fuzz.toml:"), "a sentence names the file");
    return 0;
  }
  require(!config->root.empty(), "a configuration can be served with");
  for (const LimitInfo& limit : limit_table()) {
    const std::uint64_t value = config->limits.*(limit.field);
    require(value >= limit.min && value <= limit.max, "a limit is within its range");
  }
  return 0;
}
