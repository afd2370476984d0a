// SPDX-License-Identifier: MIT
#include "cleave/core/service.h"

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
  if (service.command->message_route() == nullptr) {
    return refuse("'" + endpoint.cmd + "' cannot be asked for with bare messages, and the wire " +
                  wire + " has no others");
  }
  if (endpoint.is_datagram() && !service.command->spec.datagram) {
    return refuse("'" + endpoint.cmd + "' is not offered to datagrams");
  }
  return service;
}

}  // namespace v0
}  // namespace cleave
