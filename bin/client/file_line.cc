// SPDX-License-Identifier: MIT
#include "cleave/bin/client/file_line.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

bool is_ours(std::string_view name) {
  constexpr std::array<std::string_view, 6> kOurs = {"event",  "path", "filename",
                                                     "status", "code", "message"};
  return std::ranges::find(kOurs, name) != kOurs.end();
}

// Names are written as they are.
bool is_plain(std::string_view name) {
  return name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
         std::string_view::npos;
}

}  // namespace

Members file_line(const std::string& path, const std::string& filename) {
  Members line;
  if (!path.empty()) line.set("path", path);
  if (!filename.empty()) line.set("filename", filename);
  return line;
}

void append_error(Members& line, const Error& error) {
  line.set("status", "error").set("code", to_string(error.code)).set("message", error.message);
}

void append_results(Members& line, const Header& reply) {
  for (const Value value : results(reply)) {
    if (is_ours(value.name()) || !is_plain(value.name())) continue;
    std::string json;
    append_json(json, value);
    line.set_raw(value.name(), json);
  }
}

}  // namespace cleave::cli
