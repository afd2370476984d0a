// SPDX-License-Identifier: MIT
#include "cleave/core/metrics.h"

#include <algorithm>

namespace cleave {
inline namespace v0 {

void Metrics::on_accept(const Peer& /*peer*/) {
  ++accepted_;
}

void Metrics::on_shed(const Error& error) {
  shed_.add(error.code);
}

void Metrics::on_datagram_dropped(const Peer& /*peer*/, DropReason reason) {
  datagrams_dropped_.add(reason);
}

void Metrics::on_request(const Peer& /*peer*/, std::string_view /*cmd*/) {
  ++begun_;
}

void Metrics::on_served(const Served& served) {
  // Only a registered command is served, so the map cannot be grown from outside.
  if (last_served_ == nullptr || last_served_->first != served.cmd) {
    auto found = commands_.find(served.cmd);
    if (found == commands_.end()) found = commands_.emplace(served.cmd, Command{}).first;
    last_served_ = &*found;
  }
  Command& command = last_served_->second;

  ++served_;
  ++command.served;
  if (served.one_way) ++one_way_;
  if (served.code) {
    errors_.add(*served.code);
    command.errors.add(*served.code);
  }
  command.body_in += served.body_in;
  command.body_out += served.body_out;
  command.duration_ms += static_cast<std::uint64_t>(served.duration.count());
}

void Metrics::on_refused(const Peer& /*peer*/, std::string_view /*cmd*/, const Error& error) {
  refused_.add(error.code);
}

void Metrics::on_cancel(const Peer& /*peer*/, std::string_view /*cmd*/, CancelReason reason) {
  cancelled_.add(reason);
}

void Metrics::on_limit(std::string_view limit) {
  ++limits_[limit];
}

void Metrics::on_memory(std::uint64_t bytes, std::uint64_t most) {
  memory_ = bytes;
  most_memory_ = std::max(most_memory_, most);
}

void Metrics::on_protocol_error(const Peer& /*peer*/, const Error& /*error*/) {
  ++protocol_errors_;
}

void Metrics::on_close(const Peer& /*peer*/, CloseReason reason, std::string_view /*detail*/,
                       std::uint64_t bytes_in, std::uint64_t bytes_out) {
  closed_.add(reason);
  bytes_in_ += bytes_in;
  bytes_out_ += bytes_out;
}

void Metrics::on_pause(const Peer& /*peer*/) {
  ++pauses_;
}

Members Metrics::members() const {
  Members connections;
  connections.set("open", open_connections());
  connections.set("accepted", accepted_);
  connections.set("shed", shed_.members());
  connections.set("closed", closed_.members());
  connections.set("protocol_errors", protocol_errors_);
  connections.set("pauses", pauses_);
  connections.set("bytes_in", bytes_in_);
  connections.set("bytes_out", bytes_out_);

  Members requests;
  requests.set("running", running_requests());
  requests.set("begun", begun_);
  requests.set("served", served_);
  requests.set("one_way", one_way_);
  requests.set("errors", errors_.members());
  requests.set("refused", refused_.members());
  requests.set("cancelled", cancelled_.members());

  Members commands;
  for (const auto& [name, command] : commands_) {
    Members one;
    one.set("served", command.served);
    one.set("errors", command.errors.members());
    one.set("body_in", command.body_in);
    one.set("body_out", command.body_out);
    one.set("duration_ms", command.duration_ms);
    commands.set(name, one);
  }

  Members memory;
  memory.set("held", memory_);
  memory.set("most", most_memory_);

  Members limits;
  for (const auto& [name, count] : limits_) limits.set(name, count);

  Members all;
  all.set("connections", connections);
  all.set("datagrams_dropped", datagrams_dropped_.members());
  all.set("requests", requests);
  all.set("commands", commands);
  all.set("limits", limits);
  all.set("memory", memory);
  return all;
}

}  // namespace v0
}  // namespace cleave
