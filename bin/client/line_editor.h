// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cleave/bin/client/completion.h"
#include "cleave/core/loop.h"

namespace cleave::cli {

// Lines typed at the terminal that standard input and standard error are, with libedit's editing
// and whatever the user's ~/.editrc says. The loop goes on while somebody types, so connections are
// kept, and are known to be closed.
//
// While a line is edited, Ctrl-C drops it and a new one begins; Ctrl-Z stops the process, and all
// is as before when it goes on; what ends the process gives the terminal back first.
class LineEditor {
 public:
  // What could stand at the end of `words`, in place of the last word as far as it is typed.
  // `stopped` says that nobody waits for it any more.
  using Complete = std::function<std::vector<Candidate>(const std::vector<std::string>& words,
                                                        const std::string& word,
                                                        const std::function<bool()>& stopped)>;

  LineEditor(Loop& loop, std::string prompt, Complete complete);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // The next line without its end; none at the end of input.
  [[nodiscard]] std::optional<std::string> next();
  // A line that the arrow keys bring back.
  void remember(const std::string& line);

 private:
  class Editor;
  std::unique_ptr<Editor> editor_;
};

}  // namespace cleave::cli
