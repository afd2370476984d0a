// SPDX-License-Identifier: MIT
// The golden vectors of protocol/README.md, which whoever writes a client checks himself against.

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "cleave/protocol/decoder.h"
#include "cleave/testing/every_split.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

struct Vector {
  std::string name;
  std::string bytes;
  Ref<const Header> expected;
};

std::string bytes_of(std::string hex) {
  hex.erase(std::remove(hex.begin(), hex.end(), ' '), hex.end());
  REQUIRE(hex.size() % 2 == 0);
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::vector<Vector> vectors() {
  std::ifstream readme("protocol/README.md");
  REQUIRE_MESSAGE(readme.is_open(), "run the tests from the project's root");
  HeaderParser parser({.depth = 32});
  std::vector<Vector> all;
  bool inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line == "```vectors" || line == "```") {
      inside = line == "```vectors";
      continue;
    }
    if (!inside) continue;
    const std::size_t first = line.find(" | ");
    const std::size_t second = line.find(" | ", first + 1);
    REQUIRE(second != std::string::npos);
    auto expected = parser.parse(std::string_view(line).substr(second + 3));
    REQUIRE(expected.has_value());
    all.push_back(
        {line.substr(0, first), bytes_of(line.substr(first + 3, second - first - 3)), *expected});
  }
  return all;
}

bool same(const Value& left, const Value& right) {
  if (left.kind() != right.kind() || left.name() != right.name()) return false;
  if (left.text() != right.text() || left.boolean() != right.boolean()) return false;
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), same);
}

// Checks what the decoder makes of a vector's bytes, event by event.
void check(const Vector& vector) {
  HeaderParser parser;
  Decoder decoder(parser);
  std::string_view input = vector.bytes;
  const Value frames = *vector.expected->find("frames");
  const auto next = [&] { return decoder.next(input); };

  for (const Value frame : frames) {
    auto event = next();
    REQUIRE(event.has_value());
    REQUIRE(std::holds_alternative<Decoder::Head>(*event));
    const auto header = std::get<Decoder::Head>(*event).header;
    const Value members = *frame.find("header");
    CHECK(std::equal(header->root().begin(), header->root().end(), members.begin(), members.end(),
                     same));
    std::string body;
    for (event = next(); event && std::holds_alternative<Decoder::Body>(*event); event = next()) {
      body += std::get<Decoder::Body>(*event).bytes;
    }
    REQUIRE(event.has_value());
    CHECK(std::holds_alternative<Decoder::End>(*event));
    CHECK(body == bytes_of(std::string(*frame.find("body")->string())));
  }

  auto event = next();
  while (event && !std::holds_alternative<Decoder::NeedMore>(*event)) {
    CHECK_FALSE(std::holds_alternative<Decoder::End>(*event));  // a frame that was not expected
    event = next();
  }
  const auto code = vector.expected->string_or("error", "");
  CHECK((event ? "" : to_string(event.error().code)) == code);
  const bool incomplete = event.has_value() && decoder.inside_frame();
  CHECK(incomplete == vector.expected->boolean_or("incomplete", false));
}

}  // namespace

TEST_CASE("the golden vectors decode as the README says, however they are cut") {
  const std::vector<Vector> all = vectors();
  CHECK(all.size() > 50);
  for (const Vector& vector : all) {
    CAPTURE(vector.name);
    check(vector);
    CHECK(every_split(vector.bytes, [] { return frame_subject(); }).difference == "");
  }
}
