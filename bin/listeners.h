// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "cleave/bin/config.h"
#include "cleave/bin/log.h"
#include "cleave/bin/service_manager.h"
#include "cleave/core/admission.h"
#include "cleave/core/server.h"

namespace cleave {
inline namespace v0 {

// Lets a server listen only where the configuration allows it. The configuration's own URLs were
// checked when it was read; of an inherited socket it is known only now where it is.
class ListenerRule final : public Admission {
 public:
  // `config` outlives it.
  explicit ListenerRule(const Config& config) noexcept : config_(config) {}
  Result<void> may_activate(const Endpoint& endpoint, int /*fd*/) override {
    return check_reach(endpoint, config_);
  }

 private:
  const Config& config_;
};

// Opens what `config` listens on, and adopts the inherited sockets that it names. Where it says
// nothing of that, all inherited sockets, and where there are none, kDefaultListen. An inherited
// socket that is not named beside others is closed, which the log is told. Returns the URLs, with
// the ports that were bound. `invalid_argument` where the configuration is wrong.
[[nodiscard]] Result<std::vector<std::string>> open_listeners(
    Server& server, const Config& config, std::vector<InheritedSocket> inherited, Log& log);

}  // namespace v0
}  // namespace cleave
