// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/protocol/result.h"

namespace cleave::cli {

// True for a line that is not to be kept: it begins with a blank, or it gives a value to something
// whose name looks like that of a secret (`--token X`, `password=X`, `"apiKey": "X"`), or a URL of
// it or an option that names a user has a password (`-u NAME:X`).
[[nodiscard]] bool is_secret(std::string_view line);

// The lines that were typed, in a file that any number of prompts read and write at once. It comes
// to be with the first line that is kept, and is for its owner alone, whoever could read it before.
class HistoryFile {
 public:
  static constexpr std::size_t kLines = 1'000;
  static constexpr std::size_t kLineBytes = 4 * 1024;
  // More than those come to: what is longer was not written by us, and its beginning is left out.
  static constexpr std::size_t kFileBytes = 4 * 1024 * 1024;

  // The one that the environment names: CLEAVE_HISTORY, else `cleave/history` in XDG_STATE_HOME,
  // else in ~/.local/state. None where CLEAVE_HISTORY is empty, or nobody is at home.
  [[nodiscard]] static std::optional<HistoryFile> of_environment();
  explicit HistoryFile(std::string path) : path_(std::move(path)) {}

  // The newest lines, the oldest of them first; none where there is no file.
  [[nodiscard]] Result<std::vector<std::string>> read() const;
  // Puts a line behind the others, and lets the oldest go where they are too many. The same as the
  // last one is not put there twice.
  [[nodiscard]] Result<void> add(std::string_view line) const;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace cleave::cli
