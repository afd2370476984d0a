// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace cleave {
inline namespace v0 {

enum class LogFormat : std::uint8_t { text, json };
enum class LogLevel : std::uint8_t { debug, info, warning, error, off };

// A named value of a log line. One whose value is empty is left out.
struct LogField {
  LogField(std::string_view key, std::string_view text) : name(key), value(text) {}
  LogField(std::string_view key, const char* text) : name(key), value(std::string_view(text)) {}
  LogField(std::string_view key, const std::string& text)
      : name(key), value(std::string_view(text)) {}
  template <std::unsigned_integral T>
  LogField(std::string_view key, T number) : name(key), value(std::uint64_t{number}) {}
  LogField(std::string_view key, std::optional<std::uint64_t> number) : name(key) {
    if (number) value = *number;
  }

  std::string_view name;
  std::variant<std::string_view, std::uint64_t> value;
};

// Writes events to a descriptor, one line each, from a thread of its own:
//
//     2024-05-01T12:00:00.000Z warning protocol_error peer=127.0.0.1:50312 message="expected …"
//     {"time":"2024-05-01T12:00:00.000Z","level":"warning","event":"protocol_error","peer":…}
//
// write() never waits. What does not fit into the queue, because whoever reads the descriptor is
// slow or gone, is dropped, and the next line that gets through is preceded by one that says how
// many were. Values may come from a peer: control characters and invalid UTF-8 are escaped, so that
// no value can break its line, forge another or drive a terminal. A line has at most 4,096 bytes; a
// value that does not fit is cut and ends in "…".
class Log {
 public:
  // `fd` stays its owner's. `queue` is the number of lines that may wait.
  Log(int fd, LogFormat format, LogLevel level, std::size_t queue = 8'192);
  // Writes what waits, for at most a second.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void set_level(LogLevel level) noexcept;
  // For callers that would spend time on a line which nobody wants.
  [[nodiscard]] bool wants(LogLevel level) const noexcept;
  void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
  // Lines that were dropped until now.
  [[nodiscard]] std::uint64_t dropped() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace v0
}  // namespace cleave
