// SPDX-License-Identifier: MIT
#include "cleave/core/address_counts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cassert>
#include <cstring>

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::size_t kNetworkBytes = 8;  // of an IPv6 address, 64 bits

std::string bytes_of(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

}  // namespace

AddressCounts::Host AddressCounts::host_of(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string host(address.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) {
    return {bytes_of(&four, sizeof four), ntohl(four.s_addr) >> 24U == 127};
  }
  in6_addr six{};
  if (::inet_pton(AF_INET6, host.c_str(), &six) != 1) return {};
  if (!IN6_IS_ADDR_V4MAPPED(&six)) {
    return {bytes_of(&six, kNetworkBytes), IN6_IS_ADDR_LOOPBACK(&six) != 0};
  }
  // Of a listener on all addresses of both kinds.
  std::memcpy(&four, &six.s6_addr[12], sizeof four);
  return {bytes_of(&four, sizeof four), ntohl(four.s_addr) >> 24U == 127};
}

std::uint64_t AddressCounts::of(const Host& host) const {
  const auto found = counts_.find(host.key);
  return found == counts_.end() ? 0 : found->second;
}

void AddressCounts::add(const Host& host) {
  if (!host.key.empty()) ++counts_[host.key];
}

void AddressCounts::remove(const Host& host) {
  if (host.key.empty()) return;
  const auto found = counts_.find(host.key);
  assert(found != counts_.end());
  if (--found->second == 0) counts_.erase(found);
}

}  // namespace v0
}  // namespace cleave
