// SPDX-License-Identifier: MIT
#include "cleave/testing/live_server.h"

#include <future>
#include <utility>

#include "cleave/core/endpoint.h"

namespace cleave::testing {

LiveServer::LiveServer(std::function<void(Router&, Loop&)> add, ServerOptions options,
                       std::string_view url) {
  std::promise<void> ready;
  thread_ = std::thread([&ready, this, url, add = std::move(add), options] {
    auto loop = Loop::create().value();
    Router router;
    add(router, *loop);
    Server server(*loop, router, options);
    url_ = server.listen(url).value();
    port_ = Endpoint::parse(url_).value().port;
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
