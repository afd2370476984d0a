// SPDX-License-Identifier: MIT
#include "cleave/bin/client/complete_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cleave/bin/client/asked_names.h"
#include "cleave/bin/client/completion.h"
#include "cleave/bin/client/exit_status.h"

namespace cleave::cli {
namespace {

void say_nothing_on_standard_error() {
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
}

void print(CLI::App& app, const Settings& settings, std::vector<std::string> words,
           const std::function<void()>& preset) {
  if (words.empty()) return;
  const std::string word = std::move(words.back());
  words.pop_back();
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::Error&) {
    // What is typed so far need not be right.
  }
  preset();
  auto loop = Loop::create();
  if (!loop) return;
  // Without a server that can be asked there is still all the rest.
  Session session(**loop, Endpoint::parse(settings.server).value_or(Endpoint{}));
  AskedNames server(session, settings, [] { return false; });
  for (const Candidate& each : complete(app, words, word, session, server)) {
    std::fputs(each.word.c_str(), stdout);
    if (!each.summary.empty()) std::fprintf(stdout, "\t%s", each.summary.c_str());
    std::fputc('\n', stdout);
  }
  // A file system may be waited for, and the server.
  exit_at_once(kOk);
}

}  // namespace

void print_candidates(CLI::App& app, const Settings& settings, std::vector<std::string> words,
                      const std::function<void()>& preset) {
  say_nothing_on_standard_error();
  try {
    print(app, settings, std::move(words), preset);
  } catch (const std::exception&) {
    // No candidates, then.
  }
  exit_at_once(kOk);
}

}  // namespace cleave::cli
