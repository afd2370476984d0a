// SPDX-License-Identifier: MIT
// A URL of any bytes: refused, or an endpoint whose own URL means the same.
#include <string>

#include "cleave/core/endpoint.h"
#include "fuzz.h"

using namespace cleave;
using cleave::fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto endpoint = Endpoint::parse({reinterpret_cast<const char*>(data), size});
  if (!endpoint) {
    require(endpoint.error().code == Errc::invalid_argument, "a bad URL is a wrong argument");
    return 0;
  }
  const std::string url = endpoint->url();
  const auto again = Endpoint::parse(url);
  require(again.has_value(), "what url() writes, parse() reads");
  require(again->url() == url && again->host == endpoint->host && again->path == endpoint->path &&
              again->port == endpoint->port && again->wire == endpoint->wire &&
              again->cmd == endpoint->cmd && again->options == endpoint->options,
          "and it means the same");
  return 0;
}
