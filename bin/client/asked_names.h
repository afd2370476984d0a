// SPDX-License-Identifier: MIT
#pragma once

#include <functional>

#include "cleave/bin/client/completion.h"
#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/core/loop.h"

namespace cleave::cli {

// Asks the server, for one completion: a second for all of it, and then whatever has come by then.
class AskedNames final : public ServerNames {
 public:
  // `stopped`: nobody waits for it any more.
  AskedNames(Session& session, Settings settings, std::function<bool()> stopped);

  std::vector<RemoteEntry> entries(const std::string& directory, const std::string& begin) override;
  Ref<const Header> help() override;

 private:
  Result<Answer> ask(Call call);

  Session& session_;
  Settings settings_;
  std::function<bool()> stopped_;
  bool late_ = false;
  Timer patience_;
};

}  // namespace cleave::cli
