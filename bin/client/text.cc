// SPDX-License-Identifier: MIT
#include "cleave/bin/client/text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "cleave/bin/escape.h"
#include "cleave/protocol/members.h"

namespace cleave::cli {

namespace {

// Calls back for each character and for each byte that is none.
template <typename Callback>
void for_each_character(std::string_view text, const Callback& callback) {
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const std::string_view bytes = text.substr(0, std::max<std::size_t>(point.bytes, 1));
    callback(point, bytes);
    text.remove_prefix(bytes.size());
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for_each_character(text, [&out](const CodePoint& point, std::string_view bytes) {
    const bool one_byte = point.bytes == 0 || point.value < 0x80;
    if (point.bytes != 0 && !is_hidden(point.value)) {
      out += bytes;
    } else {
      std::array<char, 16> escape{};
      std::snprintf(escape.data(), escape.size(), one_byte ? "\\x%02x" : "\\u{%x}",
                    static_cast<unsigned>(point.value));
      out += escape.data();
    }
  });
  return out;
}

std::string shown(std::string_view text, bool raw) {
  return raw ? std::string(text) : printable(text);
}

std::string json_line(std::string_view json) {
  std::string out;
  for_each_character(json, [&out](const CodePoint& point, std::string_view bytes) {
    if (point.bytes == 0) {
      out += "\\ufffd";
    } else if (bytes == "\n" || bytes == "\r" || bytes == "\t") {
      out += ' ';  // as a blank between values, where alone JSON has them
    } else if (is_hidden(point.value)) {
      append_json_escape(out, point.value);
    } else {
      out += bytes;
    }
  });
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
