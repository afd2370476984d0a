// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave::cli {

// Text for people, and the little that is read from them.

// What a server has sent, as it may be shown to people: always UTF-8, and nothing in it moves the
// cursor or makes the line read as another one. Control characters of ASCII, and bytes that are no
// UTF-8, become `\x1b`; all others that would not be seen (is_hidden() in escape.h) become
// `\u{202e}`. A backslash stays as it is: for what is to be read back there is JSON.
[[nodiscard]] std::string printable(std::string_view text);
// The same, unless the user wants it raw.
[[nodiscard]] std::string shown(std::string_view text, bool raw);
// JSON of a server's on one line, the same value, with what printable() escapes escaped as JSON has
// it. Bytes that are no JSON come out as harmless.
[[nodiscard]] std::string json_line(std::string_view json);
// "512 B", "12.3 MiB".
[[nodiscard]] std::string human_size(double bytes);
// "2026-11-23 14:05:09" in the local time zone.
[[nodiscard]] std::string local_time(std::int64_t milliseconds);

// The members of a reply that are results, and not what belongs to its frame.
[[nodiscard]] std::vector<Value> results(const Header& header);
// The same as a JSON object.
[[nodiscard]] std::string results_json(const Header& header);
// A value as JSON.
void append_json(std::string& out, const Value& value);

}  // namespace cleave::cli
