// SPDX-License-Identifier: MIT
#include "cleave/bin/client/prompt.h"

#include <histedit.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "cleave/bin/client/command.h"
#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

constexpr int kHistoryLines = 1'000;

// Where lines come from; empty at the end.
class Lines {
 public:
  virtual ~Lines() = default;
  virtual std::optional<std::string> next() = 0;
};

class PlainLines final : public Lines {
 public:
  std::optional<std::string> next() override {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
};

// Lines typed at a terminal. The prompt goes to standard error: standard output is for results.
class EditedLines final : public Lines {
 public:
  EditedLines() : editor_(::el_init("cleave", stdin, stderr, stderr)), history_(::history_init()) {
    ::el_set(
        editor_.get(), EL_PROMPT, +[](EditLine*) { return const_cast<char*>(">>: "); });
    ::el_set(editor_.get(), EL_EDITOR, "emacs");
    // Signals restore the terminal before they do what they do.
    ::el_set(editor_.get(), EL_SIGNAL, 1);
    HistEvent event;
    ::history(history_.get(), &event, H_SETSIZE, kHistoryLines);
    ::el_set(editor_.get(), EL_HIST, ::history, history_.get());
  }
  std::optional<std::string> next() override {
    int count = 0;
    const char* line = ::el_gets(editor_.get(), &count);
    if (line == nullptr || count <= 0) {
      std::fputc('\n', stderr);
      return std::nullopt;
    }
    HistEvent event;
    if (*line != '\n') ::history(history_.get(), &event, H_ENTER, line);
    return std::string(line);
  }

 private:
  struct EndEditor {
    void operator()(EditLine* editor) const noexcept { ::el_end(editor); }
  };
  struct EndHistory {
    void operator()(History* history) const noexcept { ::history_end(history); }
  };
  std::unique_ptr<EditLine, EndEditor> editor_;
  std::unique_ptr<History, EndHistory> history_;
};

std::unique_ptr<Lines> standard_input_lines() {
  if (::isatty(STDIN_FILENO) == 1) return std::make_unique<EditedLines>();
  return std::make_unique<PlainLines>();
}

}  // namespace

int run_prompt(Session& session, Settings settings) {
  settings.interactive = true;
  const std::unique_ptr<Lines> lines = standard_input_lines();
  int status = kOk;
  while (!session.given_up()) {
    const std::optional<std::string> line = lines->next();
    if (!line) break;
    auto words = split_words(*line);
    if (!words) {
      status = kUsage;
      session.console().report(words.error());
    } else if (!words->empty()) {
      if (words->front() == "quit") break;
      status = run_command(session, settings, std::move(*words));
    }
  }
  return status;
}

}  // namespace cleave::cli
