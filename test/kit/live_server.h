// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "cleave/core/loop.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/protocol/api.h"

namespace cleave::testing {

// A server on a loopback port of its own, or where the test wants it, with its loop on a thread of
// its own, so that a test can be a plain client that blocks.
class CLEAVE_API LiveServer {
 public:
  explicit LiveServer(std::function<void(Router&, Loop&)> add, ServerOptions options = {},
                      std::string_view url = "tcp://127.0.0.1:0");
  ~LiveServer();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  // Where it listens, for clients of the library.
  [[nodiscard]] const std::string& url() const noexcept { return url_; }

 private:
  std::string url_;
  std::uint16_t port_ = 0;
  Loop* loop_ = nullptr;
  std::thread thread_;
};

}  // namespace cleave::testing
