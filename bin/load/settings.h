// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "cleave/bin/load/requests.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/time.h"
#include "cleave/protocol/members.h"

namespace cleave::load {

// What the user has asked for.
struct Settings {
  Endpoint endpoint = {.host = "127.0.0.1", .port = 8080};

  std::string cmd = "echo";
  Members members = {};
  std::uint64_t body_bytes = 64;
  std::string body_file = {};  // empty: a body is made up
  Ids ids = Ids::repeated;
  bool check = true;  // compare bodies

  std::uint32_t connections = 64;
  std::uint32_t depth = 16;
  std::optional<double> rate = {};  // requests a second; empty: a closed loop

  Millis warm_up{0};
  std::optional<Millis> duration = {};
  std::optional<std::uint64_t> requests = {};  // one of both is there
  Millis timeout{10'000};

  std::optional<pid_t> pid = {};  // the server's
  bool json = false;
};

}  // namespace cleave::load
