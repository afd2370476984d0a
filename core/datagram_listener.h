// SPDX-License-Identifier: MIT
#pragma once
// Internal: serves the datagrams of a socket.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/bound_socket.h"
#include "cleave/core/datagrams.h"
#include "cleave/core/loop.h"
#include "cleave/core/observer.h"
#include "cleave/core/service.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class ServerCore;

// One datagram is one request, served within the call that brought it: one frame, or on the wire
// raw one message for the service's command. Nothing is kept of it, so there is nothing that a
// flood could pile up; core/README.md has the rules about what is answered and what is dropped.
//
// Counted, as its server may be destroyed by a handler that it calls.
class DatagramListener final : public RefCounted<DatagramListener> {
 public:
  // `server` outlives it, but for a call that is under way.
  [[nodiscard]] static Result<Ref<DatagramListener>> create(ServerCore& server, BoundSocket socket,
                                                            const Service& service);
  ~DatagramListener();

  // With the port that was bound.
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return socket_.endpoint(); }

  // Takes nothing more. Called by a handler that it serves: this one's answer is still sent.
  void close();
  // The same without that answer.
  void abandon();

 private:
  struct Asked;

  DatagramListener(ServerCore& server, BoundSocket socket, const Service& service,
                   const SocketAddress& bound);
  void on_watched(Watcher::Events events);
  void receive_some();
  void send();
  void serve(std::size_t index, const Datagrams::Incoming& datagram);
  void serve_frame(Asked asked);
  void ask(Asked& asked, const Router::Command& command, std::optional<Time> deadline);
  [[nodiscard]] std::optional<Error> call(const Route& route, const Request& request,
                                          std::string_view body);
  void refuse(const Asked& asked, const Error& error);
  [[nodiscard]] std::uint64_t answer(const Asked& asked, std::optional<Error>& error);
  [[nodiscard]] bool put(const Asked& asked, std::string_view status, std::string_view members,
                         std::string_view body);
  [[nodiscard]] bool say(const Asked& asked, const Error& error);
  void drop(const Peer& peer, Observer::DropReason reason);
  void served(Asked& asked, const std::optional<Error>& error, std::uint64_t body_out);
  [[nodiscard]] const Peer& peer_of(const Datagrams::Incoming& datagram);

  ServerCore& server_;
  const BoundSocket socket_;
  const Service service_;
  Datagrams datagrams_;
  std::unique_ptr<Watcher> watcher_;  // null: closed
  Timer retry_;
  Asked* serving_ = nullptr;
  bool abandoned_ = false;

  // Of the last datagram: many come from the same peer, and an address's text is dear.
  SocketAddress peer_from_;
  SocketAddress peer_to_;
  Peer peer_;

  // What a handler writes, and the head in front of it; used again for every request.
  Members members_;
  std::string body_;
  std::string head_;
};

}  // namespace v0
}  // namespace cleave
