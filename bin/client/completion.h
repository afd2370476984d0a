// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/client/remote_directory.h"
#include "cleave/bin/client/session.h"
#include "cleave/protocol/header.h"

namespace CLI {
class App;
}

namespace cleave::cli {

// What the server says of itself and its files, for completion: nothing where it does not, whatever
// the reason.
class ServerNames {
 public:
  virtual ~ServerNames() = default;
  // Entries of a directory whose names begin with `begin`; an empty `directory` is the root.
  [[nodiscard]] virtual std::vector<RemoteEntry> entries(const std::string& directory,
                                                         const std::string& begin) = 0;
  // The reply to `help`, or null.
  [[nodiscard]] virtual Ref<const Header> help() = 0;
};

// A word that could stand at the cursor.
struct Candidate {
  std::string word;
  std::string summary = {};  // one line, or nothing

  bool operator==(const Candidate&) const = default;
};

// No blank is to follow, as more of the word does: behind a directory, or the name of a value.
[[nodiscard]] bool goes_on(std::string_view word);

// What could stand in place of `word`, which is the last one of a line as far as it is typed, where
// `words` stand before it. `leading` has the options that may come before the command. Sorted as it
// is to be shown; every word begins with `word`. No candidate has a control character in it,
// whoever named it. `profiles` are the names of those in the user's file.
[[nodiscard]] std::vector<Candidate> complete(const CLI::App& leading,
                                              const std::vector<std::string>& words,
                                              const std::string& word, Session& session,
                                              ServerNames& server,
                                              const std::vector<std::string>& profiles = {});

// The longest beginning that all of them have, in whole characters.
[[nodiscard]] std::string common_beginning(const std::vector<Candidate>& candidates);

}  // namespace cleave::cli
