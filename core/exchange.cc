// SPDX-License-Identifier: MIT
#include "cleave/core/exchange.h"

#include <exception>
#include <type_traits>
#include <utility>

#include "cleave/core/connection.h"
#include "cleave/core/server_core.h"

namespace cleave {
inline namespace v0 {
namespace {

// A longer one is not copied, but sent from where it lies.
constexpr std::size_t kShortReply = 4 * 1024;

OutgoingOptions outgoing_options(const Limits& limits, Wire wire) {
  return {limits.frame_bytes, limits.collected_reply_bytes, wire};
}

}  // namespace

Exchange::Exchange(Connection& connection, Ref<const Header> header, std::string_view cmd)
    : connection_(&connection), began_(connection.server().loop().now()) {
  request_.header_ = std::move(header);
  request_.cmd_ = cmd;
  request_.peer_ = &connection.peer();
}

Exchange::~Exchange() = default;

// ---- The handler's side -------------------------------------------------------------------------

void Exchange::begin(const Start& start) {
  command_ = &start.command;
  route_ = &start.route;
  body_limit_ = start.body_limit;
  one_way_ = start.one_way;
  request_.body_size_ = start.body_size;
  if (start.timeout) request_.deadline_ = began_ + *start.timeout;
  if (connection_->server().intercepts() && !admitted()) return;
  if (start.timeout) {
    timer_.emplace(connection_->server().loop(), [this] { cancel(CancelReason::deadline); });
    timer_->start(*start.timeout);
  }
  connection_->server().observer().on_request(connection_->peer(), request_.cmd_);
  if (const auto* factory = std::get_if<HandlerFactory>(&route_->shape)) {
    call_handler([this, factory] {
      std::shared_ptr<Handler> handler = (*factory)(request_, ReplyToken(Ref<Exchange>(this)));
      if (state_ != State::done) handler_ = std::move(handler);
    });
  }
}

// Whether the interceptors let it through; refused if not, or over already.
bool Exchange::admitted() {
  const Ref<Exchange> guard(this);
  const std::optional<Error> refusal = connection_->server().ask_interceptors(request_, asked_);
  if (state_ == State::done) return false;
  if (!refusal) return true;
  failed_ = true;
  refuse(*refusal, one_way_);
  return false;
}

void Exchange::take_over(Request&& request, std::uint32_t asked, std::uint64_t body_in,
                         Time began) {
  request_ = std::move(request);
  asked_ = asked;
  body_in_ = body_in;
  began_ = began;
}

void Exchange::refuse(const Error& error, bool one_way) {
  refused_ = true;
  one_way_ = one_way;
  connection_->server().met(error);
  connection_->server().observer().on_refused(connection_->peer(), request_.cmd_, error);
  // What the server lacks is not held against its peer, and one-way requests do not cost others.
  if (!one_way && error.code != Errc::overloaded && error.code != Errc::unavailable) {
    connection_->request_refused();
  }
  reply(Reply::failure(error));
}

void Exchange::on_body(Chunk chunk) {
  body_in_ += chunk.size();
  if (!hears_body() || !command_->spec.takes_body) return;
  if (body_in_ > body_limit_) {
    return end_with({Errc::too_large,
                     "the body is longer than the " + std::to_string(body_limit_) +
                         " bytes that '" + command_->name + "' takes",
                     "body_bytes"});
  }
  if (handler_) {
    call_handler([this, &chunk] { handler_->on_body(std::move(chunk)); });
  } else if (!std::holds_alternative<HandlerFactory>(route_->shape)) {
    if (state_ != State::running) return;
    if (collected_.empty() && chunk.remaining() == 0 && !request_.header_->frame().more) {
      whole_ = chunk.bytes();
    } else if (may_collect(chunk.size())) {
      collected_.append(chunk.bytes());
      connection_->collected(static_cast<std::int64_t>(chunk.size()));
      count();
    }
  }
}

// Whether there is room for more of the body; ends the request if not.
bool Exchange::may_collect(std::size_t bytes) {
  ServerCore& server = connection_->server();
  if (!connection_->may_collect(collected_.size(), bytes)) {
    end_with({Errc::overloaded,
              "the bodies that are gathered for this connection are longer than " +
                  std::to_string(server.limits().collected_body_bytes) +
                  " bytes (collected_body_bytes)",
              "collected_body_bytes"});
    return false;
  }
  if (std::optional<Error> refusal = server.budget().refusal()) {
    end_with(*std::move(refusal));
    return false;
  }
  return true;
}

void Exchange::on_end() {
  body_ended_ = true;
  if (hears_body()) {
    if (handler_) {
      call_handler([this] { handler_->on_end(); });
    } else if (state_ == State::running) {
      finish_collected(whole_.empty() ? std::string_view(collected_) : whole_);
      whole_ = {};
    }
  }
  if (state_ != State::done) waiting_since_ = connection_->server().loop().now();
}

void Exchange::finish_collected(std::string_view body) {
  const auto& shape = route_->shape;
  if (const auto* writing = std::get_if<CollectedFunction>(&shape)) {
    call_handler([this, writing, body] {
      std::optional<ServerCore::Scratch> own;
      ServerCore::Scratch& shared = connection_->server().scratch;
      ServerCore::Scratch& scratch = shared.in_use ? own.emplace() : shared;
      const ServerCore::Scratch::Use use(scratch);
      ReplyWriter writer(scratch.members, scratch.body, body);
      Result<void> outcome = (*writing)(request_, body, writer);
      if (state_ != State::running) return;
      if (!outcome) return reply(Reply::failure(std::move(outcome.error())));
      const std::string_view answer = writer.bytes();
      if (!one_way_ && connection_->reply_at_once(id(), scratch.members, answer)) {
        state_ = State::replying;
        body_out_ = answer.size();
        return complete();
      }
      reply({scratch.members, Buffer::copy_of(answer), {}});
    });
  } else if (const auto* returning = std::get_if<ReturningFunction>(&shape)) {
    call_handler([this, returning, body] {
      Result<Reply> outcome = (*returning)(request_, body);
      reply(outcome ? std::move(*outcome) : Reply::failure(std::move(outcome.error())));
    });
  } else if (const auto* later = std::get_if<LaterFunction>(&shape)) {
    Buffer bytes = Buffer::own(whole_.empty() ? take_collected() : std::string(whole_));
    connection_->count(bytes, Account::Use::window);
    call_handler([this, later, &bytes] {
      (*later)(request_, std::move(bytes), ReplyToken(Ref<Exchange>(this)));
    });
  }
}

// The one place where handlers are called: what they throw stops here, and one that ends its own
// request by answering is not destroyed under its own feet.
template <typename Call>
void Exchange::call_handler(const Call& call) {
  const Ref<Exchange> guard(this);
  const bool nested = std::exchange(in_call_, true);
  try {
    call();
  } catch (const std::exception& thrown) {
    end_with({Errc::internal, std::string("the handler failed: ") + thrown.what()});
  } catch (...) {
    end_with({Errc::internal, "the handler failed"});
  }
  end_call(nested);
}

void Exchange::end_call(bool nested) {
  in_call_ = nested;
  if (std::exchange(abandoned_, false)) abandon();
  if (!nested && finished_) const std::shared_ptr<Handler> last = std::move(finished_);
}

// ---- The reply ----------------------------------------------------------------------------------

void Exchange::reply(Reply&& reply) {
  if (state_ != State::running) return;
  state_ = State::replying;
  cancel_callback_ = nullptr;
  handler_bytes_ = 0;
  (void)take_collected();
  const bool nobody = one_way_ || lost_ || connection_->closed();
  // Not from elsewhere than its handler's call, which is over before the handler is let go.
  if (in_call_ && !nobody && !reply.error && reply_at_once(reply)) return;
  if (auto* bytes = std::get_if<Buffer>(&reply.body); bytes != nullptr && !nobody) {
    if (connection_->may_queue(*bytes)) {
      connection_->count(*bytes, Account::Use::reply);
    } else {
      const Limits& limits = connection_->server().limits();
      reply = Reply::failure(
          {Errc::overloaded,
           "replies wait for this connection's reader, and with this one of " +
               std::to_string(bytes->size()) + " bytes they would be more than " +
               std::to_string(limits.output_hard_bytes) + " bytes (output_hard_bytes)",
           "output_hard_bytes"});
    }
  }
  outgoing_ =
      make_ref<Outgoing>(Outgoing::Kind::reply, id(), std::string(), std::move(reply),
                         outgoing_options(connection_->server().limits(), connection_->wire()));
  if (nobody) return complete();
  if (held_.bytes() > 0) count();
  outgoing_->on_wake([this] { connection_->reply_ready(*this); });
  connection_->reply_ready(*this);
}

// Spares a short reply the way through an Outgoing.
bool Exchange::reply_at_once(const Reply& reply) {
  const auto* buffer = std::get_if<Buffer>(&reply.body);
  if (buffer == nullptr && !std::holds_alternative<std::monostate>(reply.body)) return false;
  const std::string_view body = buffer != nullptr ? buffer->bytes() : std::string_view();
  if (body.size() > kShortReply) return false;
  if (!connection_->reply_at_once(id(), reply.members, body)) return false;
  body_out_ = body.size();
  complete();
  return true;
}

void Exchange::abandon() {
  if (state_ != State::running) return;
  // A token that an exception destroys on its way out: call_handler() knows the better answer.
  if (in_call_ && std::uncaught_exceptions() > 0) {
    abandoned_ = true;
    return;
  }
  reply(Reply::failure(cancelled_ ? to_error(*cancelled_)
                                  : Error{Errc::internal, "the handler gave no reply"}));
}

void Exchange::on_cancel(UniqueFunction<void(CancelReason)> callback) {
  if (state_ != State::running) return;
  if (!cancelled_) {
    cancel_callback_ = std::move(callback);
    return;
  }
  connection_->server().loop().post(
      [callback = std::move(callback), reason = *cancelled_]() mutable { callback(reason); });
}

// What was gathered of the body, which then does not count any more.
std::string Exchange::take_collected() {
  if (collected_.empty()) return {};
  connection_->collected(-static_cast<std::int64_t>(collected_.size()));
  std::string taken = std::exchange(collected_, {});
  if (held_.bytes() > 0) count();
  return taken;
}

void Exchange::count() {
  held_.set(connection_->account(), sizeof(Exchange) + request_.header_->capacity() +
                                        collected_.capacity() + handler_bytes_ +
                                        (outgoing_ ? outgoing_->members_bytes() : 0));
}

Result<void> Exchange::holds(std::uint64_t bytes) {
  if (state_ != State::running) return {};
  ServerCore& server = connection_->server();
  if (bytes > handler_bytes_) {
    if (std::optional<Error> refusal = server.budget().refusal()) return fail(*std::move(refusal));
  }
  handler_bytes_ = bytes;
  count();
  return {};
}

bool Exchange::overdue(Time now) const noexcept {
  if (state_ == State::done || !body_ended_ || cancelled_ || request_.deadline_) return false;
  // One that has more to send waits for its reader, and one that is held back for its client's
  // word.
  if (ready || held_back()) return false;
  return now - waiting_since_ >= Millis(connection_->server().limits().request_timeout_ms);
}

bool Exchange::wanted() const noexcept {
  return state_ == State::running && !one_way_ && !connection_->closed();
}

Outgoing::Step Exchange::advance(Link& link) {
  const Ref<Outgoing> outgoing = outgoing_;
  const Outgoing::Step step = outgoing->advance(link);
  if (body_out_ != outgoing->body_bytes()) waiting_since_ = connection_->server().loop().now();
  body_out_ = outgoing->body_bytes();
  return step;
}

void Exchange::let_through() {
  if (state_ != State::replying) return;
  outgoing_->let_through();
  connection_->reply_ready(*this);
}

void Exchange::drop_reply(CancelReason reason) {
  if (state_ != State::replying) return;
  const Ref<Exchange> guard(this);
  if (!cancelled_) {
    cancelled_ = reason;
    connection_->server().observer().on_cancel(connection_->peer(), request_.cmd_, reason);
    if (handler_) call_handler([this, reason] { handler_->on_cancel(reason); });
    if (const Ref<Outgoing> outgoing = outgoing_) {
      call_handler([&outgoing, reason] { (void)outgoing->cancel(reason); });
    }
  }
  if (state_ == State::done) return;
  const Error error =
      reason == CancelReason::cancelled
          ? Error{Errc::cancelled, "the client did not ask for the data that it was told of"}
          : to_error(reason);
  end(&error);
}

// Ends the request with an error, in whatever state its reply is.
void Exchange::end_with(Error error) {
  failed_ = true;
  if (state_ == State::running) return reply(Reply::failure(std::move(error)));
  if (state_ == State::done) return;
  outgoing_->end_with(std::move(error));
  connection_->reply_ready(*this);
}

void Exchange::complete() {
  if (state_ == State::done) return;
  const Ref<Exchange> guard(this);
  const Ref<Outgoing> outgoing = outgoing_;
  end(outgoing && outgoing->error() ? &*outgoing->error() : nullptr);
  connection_->server().remove_orphan(*this);
}

// The one way to State::done. The handler is let go at the very end, as that may call anything.
void Exchange::end(const Error* error) {
  state_ = State::done;  // first, as the observer may end everything
  served(error);
  handler_bytes_ = 0;
  (void)take_collected();
  if (!body_ended_) done_at_ = connection_->server().loop().now();
  timer_.reset();
  cancel_callback_ = nullptr;
  std::shared_ptr<Handler> handler = std::move(handler_);
  if (in_call_) finished_ = std::move(handler);
  outgoing_ = {};
  if (held_.bytes() > 0) count();  // until nobody has it any more, it takes its own memory
  connection_->exchange_done(*this);
}

void Exchange::served(const Error* error) {
  if (refused_ && asked_ == 0) return;
  ServerCore& server = connection_->server();
  const Observer::Served served{
      .cmd = request_.cmd_,
      .peer = connection_->peer(),
      .id = id(),
      .code = error != nullptr ? std::optional(error->code) : std::nullopt,
      .message = error != nullptr ? std::string_view(error->message) : std::string_view(),
      .body_in = body_in_,
      .body_out = body_out_,
      .duration = server.loop().now() - began_,
      .one_way = one_way_,
  };
  if (!refused_) {
    if (error != nullptr) server.met(*error);
    server.observer().on_served(served);
  }
  if (asked_ > 0) server.tell_interceptors(request_, served, asked_);
}

// ---- Ending early -------------------------------------------------------------------------------

void Exchange::cancel(CancelReason reason) {
  if (state_ == State::done || cancelled_ || refused_) return;
  const Ref<Exchange> guard(this);
  // Nobody waits for what is held back but a client that may never ask for it.
  if (held_back() && reason != CancelReason::peer_gone) return drop_reply(reason);
  cancelled_ = reason;
  ServerCore& server = connection_->server();
  server.observer().on_cancel(connection_->peer(), request_.cmd_, reason);
  if (reason != CancelReason::peer_gone) {
    timer_.emplace(server.loop(), [this] { grace_over(); });
    timer_->start(Millis(server.limits().cancel_grace_ms));
  }
  if (handler_) call_handler([this, reason] { handler_->on_cancel(reason); });
  if (state_ == State::running) {
    if (cancel_callback_) {
      UniqueFunction<void(CancelReason)> callback = std::exchange(cancel_callback_, nullptr);
      call_handler([&callback, reason] { callback(reason); });
    } else if (command_ != nullptr && !body_ended_ && !handler_) {
      abandon();  // the body was still being collected: nobody else knows of this request
    }
  } else if (state_ == State::replying) {
    const Ref<Outgoing> outgoing = outgoing_;
    call_handler([this, reason, &outgoing] {
      if (!outgoing->cancel(reason) && state_ == State::replying) {
        connection_->reply_ready(*this);
      }
    });
  }
}

void Exchange::grace_over() {
  end_with(to_error(*cancelled_));
}

void Exchange::lose() {
  if (state_ == State::done) return;
  const Ref<Exchange> guard(this);
  if (one_way_ && body_ended_ && connection_->server().add_orphan(*this)) return;
  let_go();
}

void Exchange::let_go() {
  const Ref<Exchange> guard(this);
  lost_ = true;
  cancel(CancelReason::peer_gone);
  if (state_ == State::done) return;
  const Ref<Outgoing> outgoing = outgoing_;
  const Error gone = to_error(CancelReason::peer_gone);
  end(outgoing && outgoing->error() ? &*outgoing->error() : &gone);
}

}  // namespace v0
}  // namespace cleave
