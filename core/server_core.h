// SPDX-License-Identifier: MIT
#pragma once
// Internal: what is behind a Server.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cleave/core/account.h"
#include "cleave/core/address_counts.h"
#include "cleave/core/datagram_listener.h"
#include "cleave/core/known_commands.h"
#include "cleave/core/link.h"
#include "cleave/core/listener.h"
#include "cleave/core/server.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class Connection;
class Exchange;

// Owns the listeners and the connections. Counted, as connections that are being called outlive a
// Server that is destroyed in that call.
class ServerCore final : public RefCounted<ServerCore>, private Listener::Events {
 public:
  ServerCore(Loop& loop, const Router& router, ServerOptions options);
  ~ServerCore();

  [[nodiscard]] Result<std::string> listen(const Endpoint& endpoint);
  [[nodiscard]] Result<std::string> adopt(Fd inherited, const Endpoint& how);
  void serve(std::unique_ptr<Stream> stream, Service service);
  [[nodiscard]] Result<void> unlisten(std::string_view url);
  [[nodiscard]] std::vector<std::string> listening() const;
  void drain(Millis timeout, UniqueFunction<void(bool clean)> done);
  // Closes everything; nothing is observed after it.
  void shut();
  void set_limits(const Limits& limits);

  [[nodiscard]] Loop& loop() const noexcept { return loop_; }
  [[nodiscard]] const Router& router() const noexcept { return router_; }
  [[nodiscard]] const Limits& limits() const noexcept { return options_.limits; }
  [[nodiscard]] Observer& observer() const noexcept { return *observer_; }
  [[nodiscard]] HeaderParser& parser() noexcept { return parser_; }
  [[nodiscard]] bool draining() const noexcept { return draining_; }
  // The header of requests that have none.
  [[nodiscard]] const Ref<const Header>& empty_header() const noexcept { return empty_header_; }
  [[nodiscard]] KnownCommands& known_commands() noexcept { return known_commands_; }
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }

  [[nodiscard]] const LinkOptions& link_options() const noexcept { return link_options_; }
  // What all that is held for peers counts against.
  [[nodiscard]] Budget& budget() noexcept { return *budget_; }
  // Whether there are interceptors: mostly not, and then nothing is done for them.
  [[nodiscard]] bool intercepts() const noexcept { return !options_.interceptors.empty(); }
  // Asks them, and counts in `asked` those that are to be told. An error refuses the request. One
  // that ends the server is the last to be asked.
  [[nodiscard]] std::optional<Error> ask_interceptors(Request& request, std::uint32_t& asked);
  // Tells those that were asked; `asked` is 0 from then on.
  void tell_interceptors(const Request& request, const Observer::Served& served,
                         std::uint32_t& asked);
  // Counts the limit of an error, if it met one.
  void met(const Error& error) {
    if (!error.limit.empty()) observer_->on_limit(error.limit);
  }

  void remove(Connection& connection);
  // One-way requests that go on after their connection.
  // False when there are too many.
  [[nodiscard]] bool add_orphan(Exchange& exchange);
  void remove_orphan(Exchange& exchange) {
    if (!orphans_.empty()) remove_if_orphan(exchange);
  }

  // Where collected handlers write; used by one call at a time.
  struct Scratch {
    Members members;
    std::string body;
    bool in_use = false;

    class Use {
     public:
      explicit Use(Scratch& scratch) noexcept : scratch_(scratch) {
        scratch.in_use = true;
        scratch.members.clear();
        scratch.body.clear();
      }
      ~Use() { scratch_.in_use = false; }
      Use(const Use&) = delete;
      Use& operator=(const Use&) = delete;

     private:
      Scratch& scratch_;
    };
  };
  Scratch scratch;

 private:
  [[nodiscard]] Result<std::string> serve_socket(BoundSocket socket, const Service& service);
  void on_accept(std::unique_ptr<Stream> stream, const Service& service) override;
  void on_no_room(std::unique_ptr<Stream> stream, const Service& service,
                  const Error& error) override;
  void shed(std::unique_ptr<Stream> stream, Wire wire, const Error& error);
  void close_listeners();
  void on_accept_error(const Error& error) override;
  [[nodiscard]] Result<void> has_room_for(const AddressCounts::Host& host) const;
  void remove_if_orphan(Exchange& exchange);
  void sweep();
  void relieve(Time now);
  void drain_deadline();
  void drained_if_empty();

  Loop& loop_;
  const Router& router_;
  ServerOptions options_;
  Observer* observer_;
  Admission* admission_;
  HeaderParser parser_;
  KnownCommands known_commands_;
  Ref<const Header> empty_header_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Ref<DatagramListener>> datagram_listeners_;
  std::vector<Ref<Connection>> connections_;
  AddressCounts addresses_;
  Ref<Budget> budget_;
  LinkOptions link_options_;
  Time last_sweep_;
  bool swept_late_ = false;               // and so looked at nobody
  std::optional<Time> overloaded_since_;  // and it has not got less since
  std::uint64_t overloaded_used_ = 0;     // as of then, or more
  std::vector<Ref<Exchange>> orphans_;
  Timer sweep_timer_;
  Timer drain_timer_;
  std::vector<UniqueFunction<void(bool clean)>> drained_;
  bool draining_ = false;
  bool shut_ = false;
  bool drain_clean_ = true;
  bool drain_cancelled_ = false;
};

}  // namespace v0
}  // namespace cleave
