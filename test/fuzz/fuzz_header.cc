// SPDX-License-Identifier: MIT
// A header of any bytes: refused, or a tree that keeps every limit and every rule of the wire. What
// it is taken for, and whether, is what a reader says that knows the rules and nothing else.
#include <limits>
#include <set>
#include <string>

#include "cleave/protocol/header.h"
#include "cleave/protocol/utf8.h"
#include "fuzz.h"
#include "naive_header.h"

using namespace cleave;
using cleave::fuzz::NaiveHeader;
using cleave::fuzz::require;

namespace {

// Visits every value as a handler might, and writes down what it saw.
class Walk {
 public:
  explicit Walk(const HeaderLimits& limits) : limits_(limits) {}

  void visit(const Value& value, std::uint32_t depth) {
    require(++values_ <= limits_.values + 1, "a header has no more values than allowed");
    const bool holds = value.kind() == Value::Kind::object || value.kind() == Value::Kind::array;
    require(!holds || depth <= limits_.depth, "a header is not deeper than allowed");
    require(is_utf8(value.text()), "text is UTF-8");
    lines_.append(value.name()).append("=").append(value.kind_name()).append(" ");
    lines_.append(said(value)).append("\n");
    if (const auto number = value.integer()) {
      require(std::to_string(*number) == value.text(), "an integer is what its digits say");
    }
    if (value.kind() == Value::Kind::object) {
      members(value, depth);
    } else if (value.kind() == Value::Kind::array) {
      for (const Value element : value) {
        require(element.name().empty(), "an element has no name");
        visit(element, depth + 1);
      }
    } else {
      require(value.begin() == value.end(), "a plain value has nothing inside");
    }
  }
  // A line for each value: its name, its kind, what it is.
  [[nodiscard]] const std::string& lines() const noexcept { return lines_; }

 private:
  static std::string_view said(const Value& value) {
    if (value.kind() == Value::Kind::boolean) return *value.boolean() ? "true" : "false";
    return value.text();
  }

  void members(const Value& object, std::uint32_t depth) {
    std::set<std::string, std::less<>> names;
    for (const Value member : object) {
      const std::string_view name = member.name();
      require(names.emplace(name).second, "no member comes twice");
      require(name.size() <= limits_.key_bytes, "a name is not longer than allowed");
      require(is_utf8(name), "a name is UTF-8");
      require(name.find('\0') == std::string_view::npos, "a name holds no NUL");
      const auto found = object.find(name);
      require(found && found->text() == member.text(), "a member is found by its name");
      visit(member, depth + 1);
    }
    require(object.size() == names.size(), "an object has as many members as it says");
  }

  HeaderLimits limits_;
  std::uint32_t values_ = 0;
  std::string lines_;
};

std::string walk(const Header& header, const HeaderLimits& limits) {
  Walk walk(limits);
  walk.visit(header.root(), 1);
  require(header.root().kind() == Value::Kind::object, "a header is an object");
  const FrameHead& frame = header.frame();
  if (frame.id) require(*frame.id < std::uint64_t{1} << 53, "an id has 53 bits");
  if (frame.data_size) require(*frame.data_size < std::uint64_t{1} << 63, "a size has 63 bits");
  require(!frame.more || frame.id, "more needs an id");
  return walk.lines();
}

}  // namespace

namespace {

// The same bytes with other digits: what a parser makes of them must not depend on what it knows.
std::string with_other_digits(std::string_view json) {
  std::string other(json);
  for (char& c : other) {
    if (c >= '0' && c <= '9') c = c == '9' ? '0' : static_cast<char>(c + 1);
  }
  return other;
}

void check(HeaderParser& parser, std::string_view json) {
  const auto header = parser.parse(json);
  const auto again = parser.parse(json);
  require(header.has_value() == again.has_value(), "a header is judged alike twice");
  const NaiveHeader naive(json, parser.limits());
  require(!header || naive.good(), "a header that a rule forbids is refused");
  require(header || !naive.good() || naive.has_vast_number(), "and no other");
  if (!header) {
    require(header.error().code == Errc::protocol_error, "a bad header is a protocol error");
    require(!header.error().message.empty() && is_utf8(header.error().message),
            "an error has a sentence");
    require(header.error().message == again.error().message, "and the same one twice");
    return;
  }
  require((*header)->json() == json, "a header keeps the bytes it was made from");
  require(walk(**header, parser.limits()) == naive.lines(), "a header says what was written");
  require(walk(**again, parser.limits()) == naive.lines(), "a remembered one says the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static HeaderParser usual;
  static HeaderParser narrow({.header_bytes = 65'536, .depth = 3, .values = 8, .key_bytes = 4});
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  for (HeaderParser* parser : {&usual, &narrow}) {
    if (size > parser->limits().header_bytes) return 0;
    check(*parser, json);
    check(*parser, with_other_digits(json));
  }
  return 0;
}
