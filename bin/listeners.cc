// SPDX-License-Identifier: MIT
#include "cleave/bin/listeners.h"

#include <algorithm>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

using Inherited = std::vector<InheritedSocket>;

// A listener to be: opened, or made from an inherited socket.
struct Plan {
  Endpoint endpoint;
  InheritedSocket* socket = nullptr;
};

// Those of that name, or else the one of that number.
std::vector<InheritedSocket*> find(Inherited& inherited, const std::string& name) {
  std::vector<InheritedSocket*> named;
  std::vector<InheritedSocket*> numbered;
  for (InheritedSocket& socket : inherited) {
    if (socket.name == name) named.push_back(&socket);
    if (std::to_string(socket.number) == name) numbered.push_back(&socket);
  }
  return named.empty() ? numbered : named;
}

tl::unexpected<Error> not_passed(const std::string& name, const Inherited& inherited) {
  std::string passed;
  for (const InheritedSocket& socket : inherited) {
    passed.append(passed.empty() ? "passed were " : ", ")
        .append(socket.name + " (" + std::to_string(socket.number) + ")");
  }
  return fail(Errc::invalid_argument, "listen: there is no inherited socket '" + name + "'; " +
                                          (passed.empty() ? "none was passed" : passed));
}

Result<void> plan_inherited(const Endpoint& endpoint, Inherited& inherited,
                            std::vector<Plan>& plans) {
  const std::vector<InheritedSocket*> found = find(inherited, endpoint.path);
  if (found.empty()) return not_passed(endpoint.path, inherited);
  for (InheritedSocket* socket : found) {
    if (std::ranges::find(plans, socket, &Plan::socket) != plans.end()) {
      return fail(Errc::invalid_argument,
                  "listen: the inherited socket '" + endpoint.path + "' is named twice");
    }
    plans.push_back({endpoint, socket});
  }
  return {};
}

Result<std::vector<Plan>> make_plans(std::vector<std::string> urls, Inherited& inherited) {
  if (urls.empty()) {
    for (const InheritedSocket& socket : inherited) {
      urls.push_back("fd:" + std::to_string(socket.number));
    }
  }
  if (urls.empty()) urls.emplace_back(kDefaultListen);
  std::vector<Plan> plans;
  for (const std::string& url : urls) {
    Result<Endpoint> endpoint = Endpoint::parse(url);
    if (!endpoint) return fail(std::move(endpoint.error()));
    if (endpoint->transport != Endpoint::Transport::inherited) {
      plans.push_back({*std::move(endpoint)});
    } else if (auto done = plan_inherited(*endpoint, inherited, plans); !done) {
      return fail(std::move(done.error()));
    }
  }
  return plans;
}

}  // namespace

Result<std::vector<std::string>> open_listeners(Server& server, const Config& config,
                                                Inherited inherited, Log& log) {
  const Result<std::vector<Plan>> plans = make_plans(config.listen, inherited);
  if (!plans) return fail(plans.error());
  std::vector<std::string> urls;
  for (const Plan& plan : *plans) {
    Result<std::string> url = plan.socket == nullptr
                                  ? server.listen(plan.endpoint)
                                  : server.adopt(std::move(plan.socket->socket), plan.endpoint);
    if (!url) return fail(std::move(url.error()));
    urls.push_back(*std::move(url));
  }
  for (const InheritedSocket& socket : inherited) {
    if (!socket.socket) continue;
    log.write(LogLevel::warning, "inherited_socket_unused",
              {{"name", socket.name},
               {"descriptor", static_cast<std::uint64_t>(socket.number)},
               {"message", "no listener names it, so it was closed"}});
  }
  return urls;
}

}  // namespace v0
}  // namespace cleave
