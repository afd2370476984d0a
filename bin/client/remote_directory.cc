// SPDX-License-Identifier: MIT
#include "cleave/bin/client/remote_directory.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "cleave/bin/client/retries.h"

namespace cleave::cli {
namespace {

// In a row: all that would have been in a page may have been deleted meanwhile.
constexpr int kMostEmptyPages = 100;

}  // namespace

Result<RemoteEntry> RemoteEntry::parse(HeaderParser& parser, std::string_view line) {
  if (line.size() > parser.limits().header_bytes) {
    return fail(Errc::too_large, "an entry of the list is longer than a header may be");
  }
  auto entry = parser.parse(line);
  if (!entry) return fail(entry.error());
  auto name = (*entry)->string("name");
  if (!name) return fail(name.error());
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  const auto size = (*entry)->integer_or("file_size", 0, kMax, 0).value_or(0);
  return RemoteEntry{.name = std::string(*name),
                     .type = std::string((*entry)->string_or("type", "?").value_or("?")),
                     .size = static_cast<std::uint64_t>(size),
                     .mtime_ms = (*entry)->integer_or("mtime_ms", kMin, kMax, 0).value_or(0)};
}

std::string directory_name(std::string typed) {
  while (typed.ends_with('/')) typed.pop_back();
  return typed.empty() ? "." : typed;
}

Result<void> read_pages(const std::string& directory, std::string after,
                        UniqueFunction<Result<Answer>(Call call)> ask,
                        UniqueFunction<Result<void>(std::string_view line)> on_line) {
  int empty_pages = 0;
  while (true) {
    Call call{.cmd = "list"};
    if (directory != ".") call.members.set("filename", directory);
    if (!after.empty()) call.members.set("after", after);
    const Result<Answer> page = ask(std::move(call));
    if (!page) return fail(page.error());
    for (std::string_view rest = page->body; !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.empty()) continue;
      if (auto passed = on_line(line); !passed) return passed;
    }
    const std::optional<Value> next = page->header->find("next");
    if (!next) return {};
    empty_pages = page->body.empty() ? empty_pages + 1 : 0;
    const std::optional<std::string_view> name = next->string();
    if (!name || *name <= after || empty_pages > kMostEmptyPages) {
      return fail(Errc::internal, "the server's list does not come to an end");
    }
    after = std::string(*name);
  }
}

Result<void> list_directory(Session& session, const Settings& settings,
                            const std::string& directory,
                            UniqueFunction<Result<void>(std::string_view line)> on_line) {
  const auto ask = [&](const Call& call) -> Result<Answer> {
    Answer page;
    Outcome outcome = run_repeatable(session, settings, call, page.body);
    if (!outcome.result) return fail(outcome.result.error());
    page.header = std::move(outcome.header);
    return page;
  };
  return read_pages(directory, {}, ask, std::move(on_line));
}

}  // namespace cleave::cli
