// SPDX-License-Identifier: MIT
#pragma once
// Internal: one request and its reply, on the server's side.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/account.h"
#include "cleave/core/loop.h"
#include "cleave/core/observer.h"
#include "cleave/core/outgoing.h"
#include "cleave/core/recycled.h"
#include "cleave/core/request.h"
#include "cleave/core/router.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class Connection;

// Lives from the request's header until the reply is complete, the body has ended and no token
// refers to it. Keeps its connection's memory, not its socket.
//
//              begin()             reply()              the last frame is queued
//     (made) ───────────▶ running ─────────▶ replying ─────────────────────────▶ done
//        └── refuse() ──────────────────────────┘                                 ▲
//                             the peer is lost, or nobody is to be answered ──────┘
class Exchange final : public RefCounted<Exchange>, public Recycled, private RingLink {
 public:
  enum class State : std::uint8_t { running, replying, done };
  // Of a ring of exchanges.
  using RingLink::join_before;
  using RingLink::leave;
  [[nodiscard]] static Exchange* of(RingLink& link) noexcept {
    return static_cast<Exchange*>(&link);
  }

  Exchange(Connection& connection, Ref<const Header> header, std::string_view cmd);
  ~Exchange();

  // ---- What a ReplyToken does.
  void reply(Reply&& reply);
  void abandon();
  [[nodiscard]] bool wanted() const noexcept;
  void on_cancel(UniqueFunction<void(CancelReason)> callback);
  [[nodiscard]] Result<void> holds(std::uint64_t bytes);

  // ---- What its connection does.
  struct Start {
    const Router::Command& command;
    const Route& route;  // of the command
    std::uint64_t body_limit;
    std::optional<std::uint64_t> body_size;  // where it is known
    bool one_way = false;
    std::optional<Millis> timeout = {};
  };
  // Makes the handler.
  void begin(const Start& start);
  // Instead of begin(), for a request whose handler or interceptors were called already and whose
  // answer has to take the long way: reply() or refuse() comes next.
  void take_over(Request&& request, std::uint32_t asked, std::uint64_t body_in, Time began);
  // Answers with an error; no handler sees the request.
  void refuse(const Error& error, bool one_way);
  void on_body(Chunk chunk);
  void on_end();
  void cancel(CancelReason reason);
  // The connection has ended: the handler is told and let go. A one-way request that was wholly
  // received goes on, as nobody waits for it anyway.
  void lose();
  // The server ends, and with it a one-way request that outlived its connection.
  void let_go();
  // Appends the next part of the reply.
  [[nodiscard]] Outgoing::Step advance(Link& link);
  // It is still there when the call that brought it is over: from now on its memory counts.
  void count();
  // The handler, or its source, has had its turn for long enough.
  [[nodiscard]] bool overdue(Time now) const noexcept;
  // On the wire `ready`, after the reply's length: the client asks for the body, or does not.
  [[nodiscard]] bool held_back() const noexcept { return outgoing_ && outgoing_->held_back(); }
  void let_through();
  void drop_reply(CancelReason reason);
  // Everything of the reply is queued.
  void complete();

  [[nodiscard]] std::optional<std::uint64_t> id() const noexcept {
    return request_.header_->frame().id;
  }
  [[nodiscard]] std::string_view cmd() const noexcept { return request_.cmd_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool body_ended() const noexcept { return body_ended_; }
  [[nodiscard]] bool frame_open() const noexcept { return outgoing_ && outgoing_->frame_open(); }
  [[nodiscard]] Time done_at() const noexcept { return done_at_; }
  [[nodiscard]] bool refused() const noexcept { return refused_; }
  [[nodiscard]] bool one_way() const noexcept { return one_way_; }
  // Has something to send: waits in its connection's ring of those, or has its single frame open.
  bool ready = false;
  // In its connection's list.
  std::size_t live_index = 0;
  // Counts as in flight.
  bool counted = true;

 private:
  [[nodiscard]] bool hears_body() const noexcept {
    return command_ != nullptr && state_ != State::done && !cancelled_ && !failed_;
  }
  [[nodiscard]] bool admitted();
  template <typename Call>
  void call_handler(const Call& call);
  void end_call(bool nested);
  [[nodiscard]] bool reply_at_once(const Reply& reply);
  std::string take_collected();
  [[nodiscard]] bool may_collect(std::size_t bytes);
  void finish_collected(std::string_view body);
  void end_with(Error error);
  void grace_over();
  void end(const Error* error);
  void served(const Error* error);

  Ref<Connection> connection_;
  Request request_;
  const Router::Command* command_ = nullptr;
  const Route* route_ = nullptr;
  std::uint64_t body_limit_ = 0;
  std::shared_ptr<Handler> handler_;
  std::shared_ptr<Handler> finished_;  // to be let go when its call is over
  Ref<Outgoing> outgoing_;
  UniqueFunction<void(CancelReason)> cancel_callback_;
  std::optional<Timer> timer_;
  std::optional<CancelReason> cancelled_;
  Held held_;
  std::uint64_t handler_bytes_ = 0;  // what the handler says that it holds
  std::string collected_;
  std::string_view whole_;  // the body, where it came in one piece; valid until on_end
  std::uint64_t body_in_ = 0;
  std::uint64_t body_out_ = 0;
  Time began_;
  Time waiting_since_;  // for the handler
  Time done_at_;
  std::uint32_t asked_ = 0;  // interceptors, which are to be told
  State state_ = State::running;
  bool one_way_ = false;
  bool body_ended_ = false;
  bool refused_ = false;
  bool lost_ = false;     // nobody is there to be answered
  bool in_call_ = false;  // the handler is being called
  bool failed_ = false;   // the framework has answered; the handler hears no more of the body
  bool abandoned_ = false;
};

}  // namespace v0
}  // namespace cleave
