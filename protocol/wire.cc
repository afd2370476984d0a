// SPDX-License-Identifier: MIT
#include "cleave/protocol/wire.h"

#include <array>
#include <cassert>

#include "cleave/protocol/encoder.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::array<std::string_view, 5> kWireNames = {"frame", "raw", "ready", "prefix",
                                                        "header"};

}  // namespace

std::string_view to_string(Wire wire) noexcept {
  return kWireNames[static_cast<std::size_t>(wire)];
}

std::optional<Wire> wire_from(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kWireNames.size(); ++i) {
    if (kWireNames[i] == name) return static_cast<Wire>(i);
  }
  return std::nullopt;
}

Result<void> append_bare_head(std::string& out, Wire wire, std::uint64_t size,
                              std::string_view members, std::uint32_t header_bytes) {
  switch (wire) {
    case Wire::raw:
      return {};
    case Wire::ready:
      out += std::to_string(size);
      return {};
    case Wire::prefix:
      if (size > kPrefixMax) {
        return fail(Errc::too_large, "the reply has " + std::to_string(size) +
                                         " bytes, and the wire prefix can announce " +
                                         std::to_string(kPrefixMax));
      }
      for (unsigned shift = 0; shift < 32; shift += 8) {
        out += static_cast<char>((size >> shift) & 0xFFU);
      }
      return {};
    case Wire::header:
      return append_head(out, {.data_size = size, .write_data_size = true, .members = members},
                         header_bytes);
    case Wire::frame:
      break;
  }
  assert(false && "the wire frame has an encoder of its own");
  return {};
}

}  // namespace v0
}  // namespace cleave
