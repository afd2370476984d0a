// SPDX-License-Identifier: MIT
#include "cleave/bin/client/prompt.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "cleave/bin/client/asked_names.h"
#include "cleave/bin/client/command.h"
#include "cleave/bin/client/command_line.h"
#include "cleave/bin/client/completion.h"
#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/history_file.h"
#include "cleave/bin/client/line_editor.h"

namespace cleave::cli {
namespace {

bool leaves(const std::string& word) {
  return word == "quit" || word == "exit";
}

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

// Lines typed at a terminal, and what was typed before. The prompt goes to standard error: standard
// output is for results.
class TypedLines final : public Lines {
 public:
  TypedLines(Session& session, const Settings& settings)
      : session_(session),
        settings_(settings),
        editor_(session.loop(), ">>: ",
                [this](const auto& words, const auto& word, const auto& stopped) {
                  return candidates(words, word, stopped);
                }),
        history_(HistoryFile::of_environment()),
        between_(SignalWatcher::create(session.loop(), SIGINT, [] {})) {
    at_prompt_.set_help_flag();
    at_prompt_.prefix_command();
    if (!history_) return;
    const auto lines = history_->read();
    if (!lines) {
      no_history(lines.error());
    } else {
      for (const std::string& line : *lines) editor_.remember(line);
    }
  }

  std::optional<std::string> next() override {
    auto line = editor_.next();
    if (line && !is_secret(*line) && *line != "quit" && *line != "exit") keep(*line);
    return line;
  }

 private:
  void keep(const std::string& line) {
    editor_.remember(line);
    if (!history_) return;
    if (const auto added = history_->add(line); !added) no_history(added.error());
  }
  // Nobody types any worse for it.
  void no_history(const Error& error) {
    history_.reset();
    if (settings_.verbose) session_.console().report(error);
  }

  std::vector<Candidate> candidates(const std::vector<std::string>& words, const std::string& word,
                                    const std::function<bool()>& stopped) {
    AskedNames server(session_, settings_, stopped);
    std::vector<Candidate> found = complete(at_prompt_, words, word, session_, server);
    if (words.empty()) {
      for (const char* leave : {"quit", "exit"}) {
        if (std::string_view(leave).starts_with(word)) found.push_back({leave, "leaves"});
      }
    }
    return found;
  }

  Session& session_;
  const Settings& settings_;
  CLI::App at_prompt_;  // no options come before a command here
  LineEditor editor_;
  std::optional<HistoryFile> history_;
  // Ctrl-C between a line and its command ends neither the prompt nor anything else.
  Result<SignalWatcher> between_;
};

std::unique_ptr<Lines> standard_input_lines(Session& session, const Settings& settings) {
  if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) {
    return std::make_unique<TypedLines>(session, settings);
  }
  return std::make_unique<PlainLines>();
}

}  // namespace

int run_prompt(Session& session, Settings settings) {
  settings.interactive = true;
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  const std::unique_ptr<Lines> lines = standard_input_lines(session, settings);
  int status = kOk;
  while (const std::optional<std::string> line = lines->next()) {
    auto words = split_words(*line);
    if (!words) {
      status = kUsage;
      session.console().report(words.error());
    } else if (!words->empty()) {
      if (leaves(words->front())) break;
      status = run_command(session, settings, std::move(*words));
      if (session.may_hang() && !terminal) break;
    }
  }
  return status;
}

}  // namespace cleave::cli
