// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// Appends `text` as a JSON string with its quotes. Control characters, quotes and backslashes are
// escaped; bytes that are not UTF-8 become U+FFFD, so what is written is always valid.
CLEAVE_API void append_json_string(std::string& out, std::string_view text);

// The members of a JSON object, being written: `Members().set("exit_code", 0).set("name", "a")`.
// A value type. Names are the caller's own words (ASCII, no escaping); setting one twice is a bug,
// as a strict reader refuses duplicates.
class CLEAVE_API Members {
 public:
  Members& set(std::string_view name, std::string_view text) &;
  Members& set(std::string_view name, const char* text) & {
    return set(name, std::string_view(text));
  }
  Members& set(std::string_view name, std::same_as<bool> auto value) & {
    return set_raw(name, value ? "true" : "false");
  }
  Members& set(std::string_view name, std::integral auto value) &
      requires(!std::same_as<decltype(value), bool>) {
    return set_raw(name, std::to_string(value));
  }
  Members& set(std::string_view name, std::span<const std::string> texts) &;
  Members& set(std::string_view name, const Members& object) &;
  // All members of another object, behind these.
  Members& append(const Members& others) &;
  // `json` must be one valid JSON value.
  Members& set_raw(std::string_view name, std::string_view json) &;

  template <typename T>
  Members&& set(std::string_view name, T&& value) && {
    set(name, std::forward<T>(value));
    return std::move(*this);
  }
  Members&& set_raw(std::string_view name, std::string_view json) && {
    set_raw(name, json);
    return std::move(*this);
  }

  // `"a":1,"b":"x"`, without braces; valid until the object is changed.
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  // The whole object: `{"a":1,"b":"x"}`.
  [[nodiscard]] std::string object() const;
  // Forgets the members and keeps the memory.
  void clear() noexcept { text_.clear(); }

 private:
  void name(std::string_view name);

  std::string text_;
};

}  // namespace v0
}  // namespace cleave
