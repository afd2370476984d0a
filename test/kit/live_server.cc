// SPDX-License-Identifier: MIT
#include "cleave/testing/live_server.h"

#include <future>
#include <utility>

#include "cleave/core/endpoint.h"

namespace cleave::testing {

LiveServer::LiveServer(std::function<void(Router&, Loop&)> add, ServerOptions options) {
  std::promise<void> ready;
  thread_ = std::thread([&ready, this, add = std::move(add), options] {
    auto loop = Loop::create().value();
    Router router;
    add(router, *loop);
    Server server(*loop, router, options);
    port_ = Endpoint::parse(server.listen("tcp://127.0.0.1:0").value()).value().port;
    loop_ = loop.get();
    ready.set_value();
    loop->run();
  });
  ready.get_future().wait();
}

LiveServer::~LiveServer() {
  loop_->post([loop = loop_] { loop->stop(); });
  thread_.join();
}

}  // namespace cleave::testing
