// SPDX-License-Identifier: MIT
#include "cleave/bin/client/asked_names.h"

#include <memory>
#include <string>
#include <utility>

#include "cleave/bin/client/server_description.h"

namespace cleave::cli {
namespace {

// Longer than that, whoever has pressed TAB thinks that nothing happens.
constexpr Millis kCompletionPatience(1'000);
// More than anybody reads.
constexpr std::size_t kRemoteEntries = 1'000;

// A name before all those that begin with `begin`, and behind nearly all that come before them: the
// list begins behind it. Empty: it begins with the first one.
std::string just_before(std::string begin) {
  if (begin.empty() || begin.back() <= ' ' || begin.back() >= '\x7f') return {};
  --begin.back();
  return begin + "\xf4\x8f\xbf\xbf";  // U+10FFFF, the last character
}

}  // namespace

AskedNames::AskedNames(Session& session, Settings settings, std::function<bool()> stopped)
    : session_(session),
      settings_(std::move(settings)),
      stopped_(std::move(stopped)),
      patience_(session.loop(), [this] { late_ = true; }) {
  settings_.verbose = false;  // somebody is typing
  patience_.start(kCompletionPatience);
}

Result<Answer> AskedNames::ask(Call call) {
  const tl::unexpected<Error> none = fail(Errc::cancelled, "nobody waits for it any more");
  if (!session_.speaks_frames() || late_ || stopped_()) return none;
  // Shared with a call that may end later.
  auto reply = std::make_shared<std::optional<Result<Answer>>>();
  call.timeout = kCompletionPatience;
  CallHandle running = session_.client(settings_).call(
      std::move(call), [reply](Result<Answer> answer) { *reply = std::move(answer); });
  while (!*reply && !late_ && !stopped_()) session_.loop().step_waiting();
  running.cancel();
  return std::move(*reply).value_or(none);
}

std::vector<RemoteEntry> AskedNames::entries(const std::string& directory,
                                             const std::string& begin) {
  std::vector<RemoteEntry> found;
  HeaderParser parser;
  const auto enough = [] { return fail(Errc::cancelled, "there are enough"); };
  (void)read_pages(
      directory_name(directory), just_before(begin),
      [this](Call call) { return ask(std::move(call)); },
      [&](std::string_view line) -> Result<void> {
        auto entry = RemoteEntry::parse(parser, line);
        if (!entry) return {};
        if (entry->name.starts_with(begin)) {
          found.push_back(*std::move(entry));
        } else if (entry->name > begin) {
          return enough();  // they are sorted
        }
        if (found.size() == kRemoteEntries) return enough();
        return {};
      });
  return found;
}

Ref<const Header> AskedNames::help() {
  return ask({.cmd = "help"})
      .and_then([](const Answer& answer) { return parse_description(answer.body); })
      .value_or(Ref<const Header>());
}

}  // namespace cleave::cli
