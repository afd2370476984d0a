// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cleave/bin/client/batch.h"
#include "cleave/bin/client/remote_directory.h"

namespace cleave::cli {

// A directory on the server with all that is below it, as the server tells it: names that lead
// elsewhere, or that no file can have, are refused.
class RemoteTree {
 public:
  // What is found goes into the batch.
  RemoteTree(Session& session, const Settings& settings, Batch& batch)
      : session_(session), settings_(settings), batch_(batch) {}

  // Finds all files below a directory; "." is the root.
  [[nodiscard]] Result<void> find(const std::string& directory);

 private:
  Result<void> look_into(const std::string& prefix);
  void take(const std::string& prefix, const RemoteEntry& entry);

  Session& session_;
  const Settings& settings_;
  Batch& batch_;
  std::string root_;                      // empty, or ends in a slash
  std::vector<std::string> directories_;  // below it, that are still to be looked into
  std::size_t seen_ = 0;                  // entries of all directories, whatever became of them
};

}  // namespace cleave::cli
