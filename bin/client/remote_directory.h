// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cleave/bin/client/session.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/header.h"

namespace cleave::cli {

// An entry of a directory on the server, as the server tells it: no name of it is to be trusted.
struct RemoteEntry {
  std::string name;
  std::string type;
  std::uint64_t size = 0;
  std::int64_t mtime_ms = 0;

  // Of a line of JSON.
  [[nodiscard]] static Result<RemoteEntry> parse(HeaderParser& parser, std::string_view line);
};

// The name of a directory that may have been typed, or completed, with a slash at its end, as
// "albums/". The root, which may be "", "/" or "./", is ".".
[[nodiscard]] std::string directory_name(std::string typed);

// Passes on the lines of a directory's list, page by page; "." is the root. It begins behind the
// name `after`, or, where that is empty, with the first one. `ask` sends a request and waits for
// its reply; what it or `on_line` fails with ends it.
[[nodiscard]] Result<void> read_pages(const std::string& directory, std::string after,
                                      UniqueFunction<Result<Answer>(Call call)> ask,
                                      UniqueFunction<Result<void>(std::string_view line)> on_line);
// The same with all lines, and with requests that are tried again.
[[nodiscard]] Result<void> list_directory(
    Session& session, const Settings& settings, const std::string& directory,
    UniqueFunction<Result<void>(std::string_view line)> on_line);

}  // namespace cleave::cli
