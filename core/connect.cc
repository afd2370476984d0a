// SPDX-License-Identifier: MIT
#include "cleave/core/connect.h"

#include <list>
#include <memory>
#include <utility>

#include "cleave/core/loop_internals.h"

namespace cleave {
inline namespace v0 {
namespace {

// Those of a loop that have not called back yet; they end with the loop at the latest.
struct Connectors {
  explicit Connectors(Loop&) {}
  std::list<std::unique_ptr<SocketConnector>> running;
};

}  // namespace

Result<Endpoint> frame_endpoint(std::string_view url) {
  Result<Endpoint> endpoint = Endpoint::parse(url);
  if (endpoint && (endpoint->is_datagram() || endpoint->wire != Wire::frame)) {
    return fail(Errc::invalid_argument,
                "a client of frames speaks over a stream, and this is " + endpoint->url());
  }
  return endpoint;
}

void connect_stream(Loop& loop, const Result<Endpoint>& endpoint, Millis timeout,
                    SocketConnector::Done done) {
  if (!endpoint) {
    return loop.post([done = std::move(done), error = endpoint.error()]() mutable {
      done(fail(std::move(error)));
    });
  }
  Connectors& connectors = LoopInternals::get<Connectors>(loop);
  const auto at = connectors.running.emplace(connectors.running.end());
  *at = SocketConnector::start(
      loop, *endpoint, timeout,
      [&connectors, at, done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
        const std::unique_ptr<SocketConnector> self = std::move(*at);
        connectors.running.erase(at);
        done(std::move(stream));
      });
}

}  // namespace v0
}  // namespace cleave
