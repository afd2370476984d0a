// SPDX-License-Identifier: MIT
#include "cleave/bin/client/text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "cleave/protocol/members.h"

namespace cleave::cli {

namespace {

// How many bytes the control character has that `text` begins with; 0: there is none. U+0080 to
// U+009F are control characters too, and take two bytes.
std::size_t control_size(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text.front());
  if (byte < 0x20 || byte == 0x7F) return 1;
  const bool second_set =
      byte == 0xC2 && text.size() > 1 && (static_cast<unsigned char>(text[1]) & 0xE0U) == 0x80U;
  return second_set ? 2 : 0;
}

void append_hex(std::string& out, const char* form, char byte) {
  std::array<char, 7> hex{};
  std::snprintf(hex.data(), hex.size(), form, static_cast<unsigned char>(byte));
  out += hex.data();
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t control = control_size(text);
    for (const char byte : text.substr(0, control)) append_hex(out, "\\x%02x", byte);
    if (control == 0) out += text.front();
    text.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return out;
}

std::string json_line(std::string_view json) {
  std::string out;
  while (!json.empty()) {
    const std::size_t control = control_size(json);
    const char last = json[std::max<std::size_t>(control, 1) - 1];
    if (control == 0) {
      out += last;
    } else if (last == '\n' || last == '\r' || last == '\t') {
      out += ' ';  // as a blank between values, where alone JSON has them
    } else {
      append_hex(out, "\\u%04x", last);
    }
    json.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return out;
}

std::string human_size(double bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text.data();
}

std::string local_time(std::int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return "?";
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

std::vector<Value> results(const Header& header) {
  constexpr std::array<std::string_view, 5> kOfTheFrame = {"id", "data_size", "more", "status",
                                                           "stream"};
  std::vector<Value> found;
  for (const Value value : header.root()) {
    if (std::ranges::find(kOfTheFrame, value.name()) == kOfTheFrame.end()) found.push_back(value);
  }
  return found;
}

void append_json(std::string& out, const Value& value) {
  const bool array = value.kind() == Value::Kind::array;
  switch (value.kind()) {
    case Value::Kind::null:
      out += "null";
      break;
    case Value::Kind::boolean:
      out += value.boolean().value_or(false) ? "true" : "false";
      break;
    case Value::Kind::number:
      out += value.text();
      break;
    case Value::Kind::string:
      append_json_string(out, value.text());
      break;
    case Value::Kind::array:
    case Value::Kind::object:
      out += array ? '[' : '{';
      bool first = true;
      for (const Value inner : value) {
        if (!std::exchange(first, false)) out += ',';
        if (!array) {
          append_json_string(out, inner.name());
          out += ':';
        }
        append_json(out, inner);
      }
      out += array ? ']' : '}';
      break;
  }
}

std::string results_json(const Header& header) {
  std::string out = "{";
  for (const Value value : results(header)) {
    if (out.size() > 1) out += ',';
    append_json_string(out, value.name());
    out += ':';
    append_json(out, value);
  }
  return json_line(out + "}");
}

}  // namespace cleave::cli
