// SPDX-License-Identifier: MIT
#include "cleave/bin/client/asked_names.h"

#include <algorithm>
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

std::optional<Answer> AskedNames::ask(Call call) {
  if (!session_.speaks_frames() || late_ || stopped_()) return {};
  struct Reply {
    bool ended = false;
    std::optional<Answer> answer;
  };
  // Shared with a call that may end when nobody waits for it any more.
  auto reply = std::make_shared<Reply>();
  call.timeout = kCompletionPatience;
  CallHandle running =
      session_.client(settings_).call(std::move(call), [reply](Result<Answer> answer) {
        reply->ended = true;
        if (answer) reply->answer = *std::move(answer);
      });
  while (!reply->ended && !late_ && !stopped_()) session_.loop().step_waiting();
  running.cancel();
  return std::move(reply->answer);
}

std::vector<RemoteEntry> AskedNames::entries(const std::string& directory,
                                             const std::string& begin) {
  std::vector<RemoteEntry> found;
  HeaderParser parser;
  std::string after = just_before(begin);
  while (found.size() < kRemoteEntries) {
    Call call{.cmd = "list"};
    if (!directory.empty()) call.members.set("filename", directory);
    if (!after.empty()) call.members.set("after", after);
    const std::optional<Answer> page = ask(std::move(call));
    if (!page) break;
    for (std::string_view rest = page->body; !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      auto entry = RemoteEntry::parse(parser, line);
      if (!entry) continue;
      if (entry->name.starts_with(begin)) {
        found.push_back(*std::move(entry));
      } else if (entry->name > begin) {
        return found;  // they are sorted
      }
    }
    const std::optional<Value> next = page->header->find("next");
    if (!next || !next->string() || *next->string() <= after) break;
    after = std::string(*next->string());
  }
  if (found.size() > kRemoteEntries) found.resize(kRemoteEntries);
  return found;
}

Ref<const Header> AskedNames::help() {
  const std::optional<Answer> answer = ask({.cmd = "help"});
  if (!answer) return {};
  return parse_description(answer->body).value_or(Ref<const Header>());
}

}  // namespace cleave::cli
