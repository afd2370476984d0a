// SPDX-License-Identifier: MIT
#pragma once
// Internal: how many connections each host has.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cleave {
inline namespace v0 {

// A host is an IPv4 address, or the first 64 bits of an IPv6 address, of which one customer has all
// the rest (RFC 6177). Peers without an address, those of local sockets, are not counted.
class AddressCounts {
 public:
  // The host of a peer's address ("127.0.0.1:50312", "[::1]:50312"); empty if it has none.
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
