// SPDX-License-Identifier: MIT
#include "cleave/core/limits.h"

#include <doctest/doctest.h>

#include <set>
#include <string_view>

using namespace cleave;

TEST_CASE("the defaults of all limits lie within their ranges") {
  const Limits limits;
  for (const LimitInfo& limit : limit_table()) {
    CAPTURE(limit.name);
    CHECK(limit.min <= limits.*limit.field);
    CHECK(limits.*limit.field <= limit.max);
  }
}

TEST_CASE("every limit stands in the table once, in the order of the struct, with a reason") {
  Limits limits;
  std::set<std::string_view> names;
  const std::uint64_t* field = &limits.header_bytes;
  for (const LimitInfo& limit : limit_table()) {
    CAPTURE(limit.name);
    CHECK(names.insert(limit.name).second);
    CHECK(&(limits.*limit.field) == field++);
    CHECK_FALSE(limit.reason.empty());
  }
}

TEST_CASE("the limits of a header are those of the server, at the ends of their ranges too") {
  Limits limits;
  for (const LimitInfo& limit : limit_table()) limits.*limit.field = limit.max;
  const HeaderLimits header = limits.header();
  CHECK(header.header_bytes == limits.header_bytes);
  CHECK(header.depth == limits.header_depth);
  CHECK(header.values == limits.header_values);
  CHECK(header.key_bytes == limits.header_key_bytes);
}
