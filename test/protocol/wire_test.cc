// SPDX-License-Identifier: MIT
#include "cleave/protocol/wire.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace cleave;
using namespace std::string_literals;

namespace {

std::string head(Wire wire, std::uint64_t size, std::string_view members = {}) {
  std::string out = "before ";
  REQUIRE(append_bare_head(out, wire, size, members));
  REQUIRE(out.starts_with("before "));
  return out.substr(7);
}

}  // namespace

TEST_CASE("every wire has a name, and a name has one wire") {
  for (const Wire wire : {Wire::frame, Wire::raw, Wire::ready, Wire::prefix, Wire::header}) {
    CHECK(wire_from(to_string(wire)) == wire);
  }
  CHECK_FALSE(wire_from("Frame"));
  CHECK_FALSE(wire_from(""));
  CHECK_FALSE(wire_from("raw "));
}

TEST_CASE("on the wire raw nothing stands in front of a reply") {
  CHECK(head(Wire::raw, 5).empty());
  CHECK(head(Wire::raw, std::numeric_limits<std::uint64_t>::max()).empty());
}

TEST_CASE("on the wire ready a reply's length is decimal and nothing else") {
  CHECK(head(Wire::ready, 0) == "0");
  CHECK(head(Wire::ready, 1'048'576) == "1048576");
  CHECK(head(Wire::ready, std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
}

TEST_CASE("on the wire prefix a reply's length is what struct.pack('i') writes") {
  CHECK(head(Wire::prefix, 0) == "\0\0\0\0"s);
  CHECK(head(Wire::prefix, 0x01020304) == "\x04\x03\x02\x01");
  CHECK(head(Wire::prefix, 2'147'483'647) == "\xFF\xFF\xFF\x7F");
}

TEST_CASE("a length that the wire prefix cannot say is refused and leaves nothing behind") {
  std::string out = "before";
  const auto appended = append_bare_head(out, Wire::prefix, 2'147'483'648);
  REQUIRE_FALSE(appended);
  CHECK(appended.error().code == Errc::too_large);
  CHECK(appended.error().message.find("2147483648") != std::string::npos);
  CHECK(appended.error().message.find("2147483647") != std::string::npos);
  CHECK(out == "before");
}

TEST_CASE("on the wire header a reply's length stands in a JSON header, also where it is 0") {
  CHECK(head(Wire::header, 0) == "\x0F\0\0\0{\"data_size\":0}"s);
  CHECK(head(Wire::header, 1024) == "\x12\0\0\0{\"data_size\":1024}"s);
  CHECK(head(Wire::header, 3, R"("exit_code":0)") ==
        "\x1D\0\0\0{\"data_size\":3,\"exit_code\":0}"s);
}

TEST_CASE("only the wires with a header can say an error") {
  CHECK(says_errors(Wire::frame));
  CHECK(says_errors(Wire::header));
  CHECK_FALSE(says_errors(Wire::raw));
  CHECK_FALSE(says_errors(Wire::ready));
  CHECK_FALSE(says_errors(Wire::prefix));
}
