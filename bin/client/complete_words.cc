// SPDX-License-Identifier: MIT
#include "cleave/bin/client/complete_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cleave/bin/client/asked_names.h"
#include "cleave/bin/client/completion.h"
#include "cleave/bin/client/exit_status.h"

namespace cleave::cli {
namespace {

void say_nothing_on_standard_error() {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
}

bool parse_words(CLI::App& app, std::vector<std::string> words) {
  std::ranges::reverse(words);
  try {
    app.parse(std::move(words));
    return true;
  } catch (const CLI::Error&) {
    return false;
  }
}

void print(CLI::App& app, const Settings& settings, std::vector<std::string> words,
           const std::function<std::vector<std::string>()>& preset) {
  if (words.empty()) return;
  const std::string word = std::move(words.back());
  words.pop_back();
  // What is typed so far need not be right, and an option may have its value at the cursor.
  if (!parse_words(app, words) && !words.empty()) {
    (void)parse_words(app, {words.begin(), words.end() - 1});
  }
  const std::vector<std::string> profiles = preset();
  auto loop = Loop::create();
  if (!loop) return;
  // Without a server that can be asked there is still all the rest.
  Console console;
  Session session(**loop, Endpoint::parse(settings.server).value_or(Endpoint{}), console);
  AskedNames server(session, settings, [] { return false; });
  for (const Candidate& each : complete(app, words, word, session, server, profiles)) {
    console.print(each.word + (each.summary.empty() ? "" : "\t" + each.summary));
  }
  // A file system may be waited for, and the server.
  exit_at_once(kOk);
}

}  // namespace

void print_candidates(CLI::App& app, const Settings& settings, std::vector<std::string> words,
                      const std::function<std::vector<std::string>()>& preset) {
  say_nothing_on_standard_error();
  try {
    print(app, settings, std::move(words), preset);
  } catch (const std::exception&) {
    // No candidates, then.
  }
  exit_at_once(kOk);
}

}  // namespace cleave::cli
