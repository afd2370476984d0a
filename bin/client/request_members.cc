// SPDX-License-Identifier: MIT
#include "cleave/bin/client/request_members.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "cleave/protocol/header.h"

namespace cleave::cli {
namespace {

// True for text that is one JSON value by itself.
bool is_json(const std::string& text) {
  HeaderParser parser;
  const std::string object = R"({"value":)" + text + "}";
  if (object.size() > parser.limits().header_bytes) return false;
  const auto header = parser.parse(object);
  // One member, or the text has closed the object and begun another member.
  return header && (*header)->root().size() == 1;
}

// Adds `NAME=VALUE`; `raw` says which values that are JSON are sent as they are.
template <typename Raw>
Result<void> add_member(Members& members, const std::string& text, std::set<std::string>& seen,
                        Raw raw) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (equals == std::string::npos || name.empty() || !std::ranges::all_of(name, is_plain)) {
    return fail(Errc::invalid_argument, "expected NAME=VALUE, not '" + text + "'");
  }
  if (!seen.insert(name).second) {
    return fail(Errc::invalid_argument, "the member '" + name + "' is given twice");
  }
  const std::string value = text.substr(equals + 1);
  if (raw(value) && is_json(value)) {
    members.set_raw(name, value);
  } else {
    members.set(name, value);
  }
  return {};
}

}  // namespace

Result<Members> request_members(const std::vector<std::string>& texts) {
  constexpr std::array<std::string_view, 5> kReserved = {"cmd", "id", "data_size", "more",
                                                         "timeout_ms"};
  Members members;
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    const std::string name = text.substr(0, text.find('='));
    if (std::ranges::find(kReserved, name) != kReserved.end()) {
      return fail(Errc::invalid_argument, "the member '" + name + "' is set by cleave itself");
    }
    const auto any = [](const std::string&) { return true; };
    if (auto added = add_member(members, text, seen, any); !added) return fail(added.error());
  }
  return members;
}

Result<Members> command_arguments(const std::vector<std::string>& texts) {
  Members members;
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    // And not `true` or `null`, which are words here.
    const auto raw = [](const std::string& value) {
      return value.find_first_of("[\"-0123456789") == 0;
    };
    if (auto added = add_member(members, text, seen, raw); !added) return fail(added.error());
  }
  return members;
}

}  // namespace cleave::cli
