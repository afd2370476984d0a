// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/observer.h"

namespace cleave {
inline namespace v0 {

// Lets two observers see the same server, one after the other.
class ObserverPair final : public Observer {
 public:
  // Both outlive it.
  ObserverPair(Observer& first, Observer& second) noexcept : first_(first), second_(second) {}

  void on_listening(std::string_view url) override { tell(&Observer::on_listening, url); }
  void on_unlistening(std::string_view url) override { tell(&Observer::on_unlistening, url); }
  void on_accept(const Peer& peer) override { tell(&Observer::on_accept, peer); }
  void on_shed(const Error& error) override { tell(&Observer::on_shed, error); }
  void on_datagram_dropped(const Peer& peer, DropReason reason) override {
    tell(&Observer::on_datagram_dropped, peer, reason);
  }
  void on_server_closed() override { tell(&Observer::on_server_closed); }
  void on_request(const Peer& peer, std::string_view cmd) override {
    tell(&Observer::on_request, peer, cmd);
  }
  void on_served(const Served& served) override { tell(&Observer::on_served, served); }
  void on_refused(const Peer& peer, std::string_view cmd, const Error& error) override {
    tell(&Observer::on_refused, peer, cmd, error);
  }
  void on_cancel(const Peer& peer, std::string_view cmd, CancelReason reason) override {
    tell(&Observer::on_cancel, peer, cmd, reason);
  }
  void on_limit(std::string_view limit) override { tell(&Observer::on_limit, limit); }
  void on_memory(std::uint64_t bytes, std::uint64_t most) override {
    tell(&Observer::on_memory, bytes, most);
  }
  void on_protocol_error(const Peer& peer, const Error& error) override {
    tell(&Observer::on_protocol_error, peer, error);
  }
  void on_close(const Peer& peer, CloseReason reason, std::string_view detail,
                std::uint64_t bytes_in, std::uint64_t bytes_out) override {
    tell(&Observer::on_close, peer, reason, detail, bytes_in, bytes_out);
  }
  void on_pause(const Peer& peer) override { tell(&Observer::on_pause, peer); }
  void on_resume(const Peer& peer) override { tell(&Observer::on_resume, peer); }

 private:
  template <typename Method, typename... Arguments>
  void tell(Method method, const Arguments&... arguments) {
    (first_.*method)(arguments...);
    (second_.*method)(arguments...);
  }

  Observer& first_;
  Observer& second_;
};

}  // namespace v0
}  // namespace cleave
