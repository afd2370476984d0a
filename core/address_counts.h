// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// Counts what each host has, connections or anything else: so that one of them cannot have it all.
// A host is an IPv4 address, or the first 64 bits of an IPv6 address, of which one customer has all
// the rest (RFC 6177). Peers without an address, those of local sockets, are not counted.
class CLEAVE_API AddressCounts {
 public:
  // The host of a Peer::address ("127.0.0.1:50312", "[::1]:50312"); an empty key if it has none.
  struct Host {
    std::string key;
    bool loopback = false;
  };
  [[nodiscard]] static Host host_of(std::string_view address);

  [[nodiscard]] std::uint64_t of(const Host& host) const;
  void add(const Host& host);
  void remove(const Host& host);

 private:
  std::unordered_map<std::string, std::uint64_t> counts_;
};

}  // namespace v0
}  // namespace cleave
