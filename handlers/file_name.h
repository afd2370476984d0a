// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// The name of a file or a directory in a store: a relative path of UTF-8, "a/b.txt". A FileName
// that exists keeps the rules below, so nothing behind it has to check a name again.
//
// Parts are divided by '/'. None is empty, "." or "..", none holds a control character (C0, DEL,
// C1) or a backslash. A part has at most 255 bytes, the whole at most 1,024. The first part is not
// ".cleave" in any case of letters: the store's own data lie there. Bytes are kept as they came:
// nothing is normalized, trimmed or folded.
class CLEAVE_API FileName {
 public:
  static constexpr std::size_t kPartBytes = 255;
  static constexpr std::size_t kBytes = 1'024;
  static constexpr std::string_view kReserved = ".cleave";

  // The name, or `invalid_argument` with the rule that was broken.
  [[nodiscard]] static Result<FileName> parse(std::string_view text);
  // True if `part` may be one part of a name.
  [[nodiscard]] static bool is_part(std::string_view part) noexcept;

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  // "a/b" of "a/b/c.txt"; empty for a name of one part.
  [[nodiscard]] std::string parent() const;
  // "c.txt" of "a/b/c.txt".
  [[nodiscard]] std::string leaf() const;

  bool operator==(const FileName&) const = default;

 private:
  explicit FileName(std::string text) noexcept : text_(std::move(text)) {}

  std::string text_;
};

}  // namespace v0
}  // namespace cleave
