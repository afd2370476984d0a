// SPDX-License-Identifier: MIT
#include "cleave/bin/client/remote_tree.h"

#include <utility>

#include "cleave/handlers/file_name.h"

namespace cleave::cli {
namespace {

// A server may have its directories grow while they are listed. Names are held in memory before
// anything is fetched, and each that is refused is said.
constexpr std::size_t kMostEntries = 1'000'000;

}  // namespace

Result<void> RemoteTree::find(const std::string& directory) {
  root_ = directory == "." ? "" : directory + "/";
  directories_.emplace_back();
  while (!directories_.empty()) {
    const std::string next = std::move(directories_.back());
    directories_.pop_back();
    if (auto looked = look_into(next); !looked) return looked;
  }
  return {};
}

// `prefix` is below the root, and empty or ends in a slash.
Result<void> RemoteTree::look_into(const std::string& prefix) {
  HeaderParser parser;
  return list_directory(session_, settings_, directory_name(root_ + prefix),
                        [&](std::string_view line) -> Result<void> {
                          if (++seen_ > kMostEntries) {
                            return fail(Errc::too_large,
                                        "expected at most " + std::to_string(kMostEntries) +
                                            " entries in the directory and below it, got more");
                          }
                          const auto entry = RemoteEntry::parse(parser, line);
                          if (!entry) return fail(entry.error());
                          take(prefix, *entry);
                          return {};
                        });
}

void RemoteTree::take(const std::string& prefix, const RemoteEntry& entry) {
  const std::string name = prefix + entry.name;
  const auto refuse = [&](const Error& error) {
    batch_.refuse({.local = {}, .remote = root_ + name}, error);
  };
  // Never more than one part, and none that leads elsewhere.
  if (!FileName::is_part(entry.name)) {
    return refuse({Errc::invalid_argument, "it is no name for a file"});
  }
  if (auto whole = FileName::parse(root_ + name); !whole) return refuse(whole.error());
  if (entry.type == "directory") {
    directories_.push_back(name + "/");
  } else if (entry.type == "file") {
    batch_.add({.local = name, .remote = root_ + name, .size = entry.size});
  } else {
    refuse({Errc::invalid_argument, "it is neither a file nor a directory"});
  }
}

}  // namespace cleave::cli
