// SPDX-License-Identifier: MIT
#pragma once
// Internal: one peer of a server.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cleave/core/exchange.h"
#include "cleave/core/link.h"
#include "cleave/core/server_core.h"
#include "cleave/core/service.h"
#include "cleave/protocol/bare_decoder.h"
#include "cleave/protocol/decoder.h"

namespace cleave {
inline namespace v0 {

// Turns the frames of one peer, or its bare messages, into requests, and replies into what its
// wire has for them.
//
//     open ──▶ (input ended: answer what came) ──▶ closed
//       │                                            ▲
//       ├─ protocol error ─▶ poisoned ─▶ lingering ──┤
//       └─ drain, or an error that the wire cannot say ─▶ lingering
//
// `poisoned` waits for the requests that were wholly received before, `lingering` has ended the
// write side and drops input until the peer has ended its own, as a socket that is closed with
// unread input is reset, and a reset can overtake the reply.
class Connection final : public LinkOwner {
 public:
  Connection(ServerCore& server, std::unique_ptr<Stream> stream, std::unique_ptr<const Peer> peer,
             const Service& service);
  ~Connection() override;

  void start() { link_.start(); }
  // Ends it at once.
  void close(Observer::CloseReason reason, std::string_view detail, bool reset);
  void limits_changed();
  // The server drains: close as soon as nothing runs here.
  void drain();
  void cancel_all(CancelReason reason);
  // Time limits; called by the server's sweep.
  void tick(Time now);

  // Of its peer's memory.
  [[nodiscard]] std::uint64_t held_bytes() const noexcept { return link_.held_bytes(); }
  void end_overloaded();

  // ---- For exchanges.
  void reply_ready(Exchange& exchange);
  void exchange_done(Exchange& exchange);
  // Appends a reply that fits in one frame; false where it has to wait. `was_read`: the body lies
  // in the piece of the input that is being handed over.
  [[nodiscard]] bool reply_at_once(std::optional<std::uint64_t> id, const Members& members,
                                   std::string_view body, bool was_read = false);

  [[nodiscard]] const Ref<Account>& account() { return link_.account(); }
  void count(const Buffer& bytes, Account::Use use) { link_.count(bytes, use); }
  // Whether a whole reply may wait for its reader beside those that do already.
  [[nodiscard]] bool may_queue(const Buffer& reply);
  // Counts those that are refused; too many end the connection, later in this turn.
  void request_refused() noexcept { ++refused_; }

  // Bodies that are gathered in memory: whether `more` bytes may join the `own` that an exchange
  // has, and what came or went. A single body is bounded by its command's limit alone.
  [[nodiscard]] bool may_collect(std::uint64_t own, std::uint64_t more) const noexcept;
  void collected(std::int64_t bytes) noexcept {
    collected_bytes_ += static_cast<std::uint64_t>(bytes);
  }

  [[nodiscard]] ServerCore& server() const noexcept { return *server_; }
  // Valid while it has requests, and during the call otherwise.
  [[nodiscard]] const Peer& peer() const;
  [[nodiscard]] Wire wire() const noexcept { return service_.wire; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }

  std::size_t index = 0;  // in the server's list

 private:
  enum class State : std::uint8_t { open, poisoned, lingering };

  bool wants_input() override;
  bool needs_input() override { return bare_.awaiting_ready(); }
  bool on_input(std::string_view& input) override;
  void on_input_end() override;
  void on_hangup() override;
  void on_gone(Gone why, std::string_view detail) override;
  void on_output_room() override;
  void on_shut() override;
  void on_pause(bool paused) override;

  bool on_frame_input(std::string_view& input);
  bool on_bare_input(std::string_view& input);
  void on_message(std::string_view message);
  // A request that is being served without an Exchange.
  struct AtOnce {
    const Router::Command& command;
    Request& request;
    std::optional<std::uint64_t> id;
    std::size_t body_in;
    Time began;
    std::uint32_t asked = 0;  // interceptors
  };
  [[nodiscard]] bool serve_at_once(const Ref<const Header>& header, std::string_view& input);
  [[nodiscard]] Ref<Exchange> take_over(const Ref<const Header>& header, AtOnce& call);
  void reply_late(const Ref<const Header>& header, AtOnce& call, Reply&& reply);
  [[nodiscard]] bool admitted(const Ref<const Header>& header, AtOnce& call);
  [[nodiscard]] Observer::Served outcome(const AtOnce& call, std::size_t body_out,
                                         const Error* error) const;
  void served(AtOnce& call, std::size_t body_out, const Error* error);
  void tell_interceptors(AtOnce& call, std::size_t body_out, const Error* error);
  void on_head(const Ref<const Header>& header, std::size_t here);
  void begin(const Ref<const Header>& header, const KnownCommand* known, std::size_t here);
  [[nodiscard]] const KnownCommand* look_up(Exchange& exchange, const Header& header);
  [[nodiscard]] bool may_begin(Exchange& exchange, const Router::Command& command,
                               std::uint64_t frame_size, bool one_way);
  void cancel_target(Exchange& request, const Header& header);
  void on_body(const Decoder::Body& body);
  void on_end();
  [[nodiscard]] bool may_add();
  Ref<Exchange> add(const Ref<const Header>& header, std::string_view cmd);
  [[nodiscard]] Exchange* find(std::uint64_t id) const noexcept;
  void forget(Exchange& exchange);
  void pump();
  void keep_alive();
  void finish_if_done();
  void linger(Observer::CloseReason reason);
  void close_lingering();
  void fail_protocol(const Error& error);
  [[nodiscard]] bool refused_too_often() {
    return refused_ > server_->limits().max_refused_per_minute && end_refused();
  }
  [[nodiscard]] bool end_refused();
  void time_out(std::string_view limit, std::string_view detail, bool reset = true);
  [[nodiscard]] bool body_is_slow(Time now);
  void cancel_overdue(Time now);
  void shrink();
  void drop_incomplete();
  void set_state(State state);

  Ref<ServerCore> server_;
  const Service service_;
  mutable std::unique_ptr<const Peer> peer_of_;  // made when somebody asks
  Link link_;
  Decoder decoder_;                  // on the wire frame
  BareDecoder bare_;                 // on the others
  std::vector<Ref<Exchange>> live_;  // not done, or with frames still to come
  std::unique_ptr<std::unordered_map<std::uint64_t, Exchange*>> by_id_;  // of many of them
  RingLink ready_;                // of live_: have something to send
  Ref<Exchange> ordered_;         // without an id: nothing behind it is looked at
  Ref<Exchange> open_frame_;      // has a single frame under way: nobody else may write
  Ref<Exchange> receiving_;       // whose frame is arriving
  std::unique_ptr<Error> fatal_;  // to be said before lingering
  Time state_since_;
  Time header_since_;
  Time next_keep_alive_;
  Time rate_since_;               // since when a body's rate is measured, or nothing
  std::uint64_t rate_bytes_ = 0;  // what had come by then
  Time refused_since_;
  Held header_held_;           // the part of a header that has come
  AtOnce* at_once_ = nullptr;  // while it is observed as begun and not as ended
  std::uint64_t collected_bytes_ = 0;
  std::uint32_t in_flight_ = 0;
  std::uint32_t unended_ = 0;  // of live_, whose bodies have not ended
  std::uint32_t refused_ = 0;  // requests, since refused_since_
  State state_ = State::open;
  Observer::CloseReason linger_reason_ = Observer::CloseReason::drained;
  bool closed_ = false;
  bool in_header_ = false;
  bool last_frame_ = false;  // the frame that arrives is its message's last
  bool input_over_ = false;  // the peer's end of input is known
  bool truncated_ = false;
  bool poison_cancelled_ = false;
};

}  // namespace v0
}  // namespace cleave
