// SPDX-License-Identifier: MIT
#include "cleave/core/service.h"

#include <algorithm>
#include <limits>
#include <string>

namespace cleave {
inline namespace v0 {

Result<Service> Service::of(const Endpoint& endpoint, const Router& router) {
  Service service{.wire = endpoint.wire, .packet_bytes = endpoint.options.packet_bytes};
  if (endpoint.wire == Wire::frame) return service;
  const auto refuse = [&endpoint](const std::string& reason) {
    return fail(Errc::invalid_argument, "cannot listen on " + endpoint.url() + ": " + reason);
  };
  const std::string wire(to_string(endpoint.wire));
  if (endpoint.cmd.empty()) {
    return refuse("the wire " + wire + " needs a command for its messages, as in ?wire=" + wire +
                  "&cmd=upper");
  }
  service.command = router.find(endpoint.cmd);
  if (service.command == nullptr) return refuse("there is no command '" + endpoint.cmd + "'");
  service.route = service.command->message_route();
  service.message_bytes = service.command->message_bytes();
  if (service.route == nullptr) {
    return refuse("'" + endpoint.cmd + "' cannot be asked for with bare messages, and the wire " +
                  wire + " has no others");
  }
  if (endpoint.is_datagram() && !service.command->spec.datagram) {
    return refuse("'" + endpoint.cmd + "' is not offered to datagrams");
  }
  // A reply that says its length is one to one message, and a cut would make it several.
  if (endpoint.wire != Wire::raw) {
    service.message_bytes = std::min<std::uint64_t>(service.message_bytes, service.packet_bytes);
    service.packet_bytes = std::numeric_limits<std::uint32_t>::max();
  }
  return service;
}

}  // namespace v0
}  // namespace cleave
