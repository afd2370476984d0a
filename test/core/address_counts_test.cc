// SPDX-License-Identifier: MIT
#include "cleave/core/address_counts.h"

#include <doctest/doctest.h>

using namespace cleave;

TEST_CASE("a host is an IPv4 address whatever the port, or the first 64 bits of an IPv6 address") {
  const auto same = [](std::string_view left, std::string_view right) {
    return AddressCounts::host_of(left).key == AddressCounts::host_of(right).key;
  };
  CHECK(same("192.0.2.7:1", "192.0.2.7:65535"));
  CHECK_FALSE(same("192.0.2.7:1", "192.0.2.8:1"));
  CHECK(same("[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::2]:2"));
  CHECK_FALSE(same("[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1"));
  CHECK(same("[::ffff:192.0.2.7]:1", "192.0.2.7:2"));
  CHECK_FALSE(same("[::1]:1", "127.0.0.1:1"));
}

TEST_CASE("loopback is known in all its forms") {
  CHECK(AddressCounts::host_of("127.0.0.1:1").loopback);
  CHECK(AddressCounts::host_of("127.255.0.9:1").loopback);
  CHECK(AddressCounts::host_of("[::1]:1").loopback);
  CHECK(AddressCounts::host_of("[::ffff:127.0.0.1]:1").loopback);
  CHECK_FALSE(AddressCounts::host_of("128.0.0.1:1").loopback);
  CHECK_FALSE(AddressCounts::host_of("[2001:db8::1]:1").loopback);
}

TEST_CASE("connections are counted by host, and a peer without an address is not counted") {
  AddressCounts counts;
  const auto host = AddressCounts::host_of("192.0.2.7:1");
  const auto other = AddressCounts::host_of("192.0.2.8:1");
  const auto local = AddressCounts::host_of("unix");
  CHECK(local.key.empty());
  counts.add(host);
  counts.add(host);
  counts.add(other);
  counts.add(local);
  CHECK(counts.of(host) == 2);
  CHECK(counts.of(other) == 1);
  CHECK(counts.of(local) == 0);
  counts.remove(local);
  counts.remove(host);
  counts.remove(host);
  CHECK(counts.of(host) == 0);
  CHECK(counts.of(other) == 1);
}
