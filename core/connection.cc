// SPDX-License-Identifier: MIT
#include "cleave/core/connection.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "cleave/protocol/encoder.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr Millis kKeepAliveInterval(1'000);
// A drained connection without anything running waits so long for its peer's end of input.
constexpr Millis kDrainLinger(250);
// Requests that are over but whose frames have not ended are remembered by their ids. A peer that
// begins more of them than this many times max_in_flight without ending one does not mean well.
constexpr std::uint64_t kUnendedFactor = 4;
constexpr Millis kMinute(60'000);
// So few requests are found by looking at each; more have a map.
constexpr std::size_t kFewLive = 32;
// When the server is out of memory, a header that comes in so many pieces is not waited for.
constexpr std::size_t kSmallHeader = 4 * 1024;

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text.substr(0, 80));
  return out;
}

}  // namespace

Connection::Connection(ServerCore& server, std::unique_ptr<Stream> stream,
                       std::unique_ptr<const Peer> peer, const Service& service)
    : server_(&server),
      service_(service),
      peer_of_(std::move(peer)),
      link_(server.loop(), std::move(stream), *this, server.link_options()),
      decoder_(server.parser()),
      bare_(service.cut_bytes()),
      state_since_(server.loop().now()),
      refused_since_(state_since_) {}

Connection::~Connection() = default;

const Peer& Connection::peer() const {
  if (!peer_of_) peer_of_ = std::make_unique<const Peer>(link_.peer());
  return *peer_of_;
}

void Connection::set_state(State state) {
  state_ = state;
  state_since_ = server_->loop().now();
}

// ---- Input --------------------------------------------------------------------------------------

bool Connection::wants_input() {
  switch (state_) {
    case State::open:
      return !ordered_ || !ordered_->body_ended() || bare_.awaiting_ready();
    case State::poisoned:
      return false;
    case State::lingering:
      return true;
  }
  return false;
}

bool Connection::on_input(std::string_view& input) {
  if (state_ != State::open) {
    input = {};
    return false;
  }
  return wire() == Wire::frame ? on_frame_input(input) : on_bare_input(input);
}

// ---- Bare messages ------------------------------------------------------------------------------

bool Connection::on_bare_input(std::string_view& input) {
  const BareDecoder::Event event = bare_.next(input);
  if (std::holds_alternative<BareDecoder::NeedMore>(event)) return false;
  if (const auto* message = std::get_if<BareDecoder::Message>(&event)) {
    on_message(message->bytes);
  } else if (std::holds_alternative<BareDecoder::Ready>(event)) {
    Ref<Exchange>(ordered_)->let_through();
    pump();
  } else {
    Ref<Exchange>(ordered_)->drop_reply(CancelReason::cancelled);
  }
  return !closed_ && state_ == State::open;
}

// A request that is all body, for the command that the listener names.
void Connection::on_message(std::string_view message) {
  const Router::Command& command = *service_.command;
  const Ref<Exchange> exchange = add(server_->empty_header(), command.name);
  last_frame_ = true;
  if (server_->draining() && !command.spec.while_draining) {
    exchange->refuse({Errc::unavailable, "the server is stopping"}, false);
  } else if (const auto refusal = server_->budget().refusal();
             refusal && !command.spec.while_draining) {
    exchange->refuse(*refusal, false);
  } else if (command.spec.takes_body && message.size() > service_.message_bytes()) {
    const Error error{Errc::too_large,
                      "the message has " + std::to_string(message.size()) + " bytes or more, '" +
                          command.name + "' takes up to " +
                          std::to_string(service_.message_bytes()),
                      "message_bytes"};
    exchange->refuse(error, false);
    // The rest of it may still be on its way, and would be taken for the next message.
    on_end();
    if (!closed_) linger(Observer::CloseReason::protocol_error);
    return;
  } else {
    exchange->begin({.command = command,
                     .route = service_.route(),
                     .body_limit = service_.message_bytes(),
                     .body_size = message.size()});
    exchange->on_body(link_.chunk(message, 0));
  }
  on_end();
}

// ---- Frames -------------------------------------------------------------------------------------

// One event; the end of a frame together with what came before it, so that a body that came in one
// piece can be used where it lies.
bool Connection::on_frame_input(std::string_view& input) {
  for (;;) {
    Result<Decoder::Event> event = decoder_.next(input);
    if (!event) {
      fail_protocol(event.error());
      return false;
    }
    if (std::holds_alternative<Decoder::NeedMore>(*event)) {
      if (decoder_.inside_header()) {
        if (!std::exchange(in_header_, true)) header_since_ = server_->loop().now();
        const auto refusal = server_->budget().refusal();
        if (refusal && decoder_.held_bytes() > kSmallHeader) {
          fail_protocol(*refusal);
          return false;
        }
      }
      if (decoder_.held_bytes() != header_held_.bytes()) {
        header_held_.set(link_.account(), decoder_.held_bytes());
      }
      if (const Ref<Exchange> exchange = receiving_) exchange->count();
      return false;
    }
    if (std::holds_alternative<Decoder::End>(*event)) {
      on_end();
      if (refused_too_often()) return false;
      return state_ == State::open && !closed_;
    }
    if (const auto* head = std::get_if<Decoder::Head>(&*event)) {
      in_header_ = false;
      if (header_held_.bytes() > 0) header_held_.set({}, 0);
      if (serve_at_once(head->header, input)) return state_ == State::open && !closed_;
      on_head(head->header, input.size());
    } else {
      on_body(std::get<Decoder::Body>(*event));
    }
    if (closed_ || state_ != State::open) return false;
    // A short body that is there is not worth a look around.
    const std::uint64_t to_come = decoder_.body_remaining();
    if (to_come > input.size() || to_come > Router::kWholeBytes) return true;
  }
}

// A short request that has come as a whole, for a collected handler: nothing can happen to it that
// an Exchange would be needed for. False where this is not such a request, or one that is to be
// looked at more closely.
bool Connection::serve_at_once(const Ref<const Header>& header, std::string_view& input) {
  const KnownCommand* known = server_->known_commands().find(header->shape());
  if (known == nullptr || known->at_once == nullptr) return false;
  const FrameHead& frame = header->frame();
  const Router::Command& command = *known->command;
  const CollectedFunction& function = *known->at_once;
  const Limits& limits = server_->limits();
  ServerCore::Scratch& scratch = server_->scratch;
  const bool nothing_before = !ordered_ && !open_frame_ && ready_.alone();
  const std::uint64_t size = decoder_.body_remaining();
  if (frame.more || !nothing_before || in_flight_ >= limits.max_in_flight || server_->draining() ||
      server_->budget().exhausted() || link_.room() == 0 || scratch.in_use ||
      size > Router::kWholeBytes || (command.spec.takes_body && size > command.body_bytes) ||
      unended_ >= limits.max_in_flight ||  // may be too many: see may_add()
      (frame.id && find(*frame.id) != nullptr)) {
    return false;
  }
  if (!command.spec.arguments.empty() && !check_arguments(command.spec, *header)) return false;
  const std::optional<std::string_view> body = decoder_.whole_body(input);
  if (!body) return false;

  Request request;
  request.header_ = header;
  request.cmd_ = command.name;
  request.body_size_ = size;
  request.peer_ = &peer();
  AtOnce call{command, request, frame.id, body->size(), server_->loop().now()};
  if (server_->intercepts()) [[unlikely]] {
    if (!admitted(header, call)) return true;
  }
  const ServerCore::Scratch::Use use(scratch);
  at_once_ = &call;
  server_->observer().on_request(peer(), command.name);
  if (closed_) return true;
  const std::string_view given = command.spec.takes_body ? *body : std::string_view();
  ReplyWriter writer(scratch.members, scratch.body, given);
  std::optional<Error> error;
  try {
    Result<void> outcome = function(request, given, writer);
    if (!outcome) error = std::move(outcome.error());
  } catch (const std::exception& thrown) {
    error = Error{Errc::internal, std::string("the handler failed: ") + thrown.what()};
  } catch (...) {
    error = Error{Errc::internal, "the handler failed"};
  }
  if (closed_) return true;
  at_once_ = nullptr;
  const std::string_view answer = writer.bytes();
  if (error) {
    reply_late(header, call, Reply::failure(*std::move(error)));
  } else if (reply_at_once(frame.id, scratch.members, answer, writer.borrows())) {
    served(call, answer.size(), nullptr);
  } else {
    reply_late(header, call, {scratch.members, Buffer::copy_of(answer), {}});
  }
  return true;
}

// Whether the interceptors let it through; refused if not, or over already.
bool Connection::admitted(const Ref<const Header>& header, AtOnce& call) {
  const std::optional<Error> refusal = server_->ask_interceptors(call.request, call.asked);
  if (closed_) {  // by one of them, which ended the server
    const Error gone = to_error(CancelReason::peer_gone);
    tell_interceptors(call, 0, &gone);
    return false;
  }
  if (!refusal) return true;
  take_over(header, call)->refuse(*refusal, false);
  last_frame_ = true;
  on_end();
  (void)refused_too_often();
  return false;
}

// What serve_at_once() could not answer after all.
void Connection::reply_late(const Ref<const Header>& header, AtOnce& call, Reply&& reply) {
  take_over(header, call)->reply(std::move(reply));
  last_frame_ = true;
  on_end();
}

Ref<Exchange> Connection::take_over(const Ref<const Header>& header, AtOnce& call) {
  Ref<Exchange> exchange = add(header, call.command.name);
  exchange->take_over(std::move(call.request), call.asked, call.body_in, call.began);
  return exchange;
}

Observer::Served Connection::outcome(const AtOnce& call, std::size_t body_out,
                                     const Error* error) const {
  return {
      .cmd = call.command.name,
      .peer = peer(),
      .id = call.id,
      .code = error != nullptr ? std::optional(error->code) : std::nullopt,
      .message = error != nullptr ? std::string_view(error->message) : std::string_view(),
      .body_in = call.body_in,
      .body_out = body_out,
      .duration = server_->loop().now() - call.began,
      .one_way = false,
  };
}

void Connection::served(AtOnce& call, std::size_t body_out, const Error* error) {
  server_->observer().on_served(outcome(call, body_out, error));
  if (call.asked > 0) [[unlikely]] {
    tell_interceptors(call, body_out, error);
  }
}

void Connection::tell_interceptors(AtOnce& call, std::size_t body_out, const Error* error) {
  server_->tell_interceptors(call.request, outcome(call, body_out, error), call.asked);
}

// `here`: bytes that have come behind the header.
void Connection::on_head(const Ref<const Header>& header, std::size_t here) {
  const FrameHead& frame = header->frame();
  last_frame_ = !frame.more;
  receiving_ = {};
  const KnownCommand* known = server_->known_commands().find(header->shape());
  if (known != nullptr || header->find("cmd")) {
    if (frame.id && find(*frame.id) != nullptr) {
      return fail_protocol(
          {Errc::protocol_error,
           "id " + std::to_string(*frame.id) + " is in use by a request that has not ended"});
    }
    if (may_add()) begin(header, known, here);
    return;
  }
  if (Exchange* exchange = frame.id ? find(*frame.id) : nullptr) {
    if (exchange->body_ended()) {
      return fail_protocol(
          {Errc::protocol_error, "the body of the request with id " + std::to_string(*frame.id) +
                                     " has ended, and a further frame of it came"});
    }
    receiving_ = Ref<Exchange>(exchange);
    return;
  }
  if (!may_add()) return;
  add(header, {})
      ->refuse({Errc::invalid_argument,
                frame.id ? "a frame without cmd continues the request with its id, "
                           "and none with id " +
                               std::to_string(*frame.id) + " is under way"
                         : "a request needs a cmd"},
               false);
}

// Whether one more may be remembered; ends the connection if not.
bool Connection::may_add() {
  const std::uint64_t max_in_flight = server_->limits().max_in_flight;
  if (unended_ < max_in_flight * kUnendedFactor) return true;
  fail_protocol({Errc::protocol_error,
                 std::to_string(unended_) +
                     " requests of this connection have not ended their bodies, and max_in_flight "
                     "is " +
                     std::to_string(max_in_flight),
                 "max_in_flight"});
  return false;
}

Ref<Exchange> Connection::add(const Ref<const Header>& header, std::string_view cmd) {
  Ref<Exchange> exchange = make_ref<Exchange>(*this, header, cmd);
  exchange->live_index = live_.size();
  live_.push_back(exchange);
  ++unended_;
  if (by_id_) {
    if (exchange->id()) by_id_->emplace(*exchange->id(), exchange.get());
  } else if (live_.size() > kFewLive) {
    by_id_ = std::make_unique<std::unordered_map<std::uint64_t, Exchange*>>();
    for (const Ref<Exchange>& each : live_) {
      if (each->id()) by_id_->emplace(*each->id(), each.get());
    }
  }
  receiving_ = exchange;
  if (!exchange->id()) ordered_ = exchange;
  ++in_flight_;
  return exchange;
}

// A message begins: everything that can refuse it is asked before a handler is made.
void Connection::begin(const Ref<const Header>& header, const KnownCommand* known,
                       std::size_t here) {
  const FrameHead& frame = header->frame();
  const Ref<Exchange> exchange =
      add(header, known != nullptr ? std::string_view(known->command->name)
                                   : header->find("cmd")->string().value_or(std::string_view()));
  if (known == nullptr) known = look_up(*exchange, *header);
  if (known == nullptr) return;
  const Router::Command* const command = known->command;
  const bool has_timeout = known->has_timeout;
  // First of all the body's size: whatever is refused, the next frame must be found.
  BodyRule rule;
  if (command->spec.body_rule) {
    Result<BodyRule> read = fail(Errc::internal, "the handler failed");
    try {
      read = command->spec.body_rule(*header);
    } catch (...) {  // answered below, as what a handler throws is
    }
    if (!read) return exchange->refuse(read.error(), false);
    rule = *read;
    if (rule.size && !frame.data_size) decoder_.set_body_size(*rule.size);
  }
  const std::uint64_t frame_size = frame.data_size.value_or(rule.size.value_or(0));
  if (!may_begin(*exchange, *command, frame_size, rule.one_way)) return;
  if (!command->spec.arguments.empty()) {
    const Result<void> checked = check_arguments(command->spec, *header);
    if (!checked) return exchange->refuse(checked.error(), rule.one_way);
  }
  std::optional<Millis> timeout;
  if (has_timeout) {
    constexpr std::int64_t kLongest = std::int64_t{1} << 53;
    const Result<std::int64_t> given = header->integer("timeout_ms", 1, kLongest);
    if (!given) return exchange->refuse(given.error(), rule.one_way);
    timeout = Millis(*given);
  }
  exchange->begin({.command = *command,
                   .route = frame.more ? command->route : command->route_for(frame_size, here),
                   .body_limit = command->body_bytes,
                   .body_size = frame.more ? std::nullopt : std::optional(frame_size),
                   .one_way = rule.one_way,
                   .timeout = timeout});
}

// The command of a header that has one; null where it was answered here.
const KnownCommand* Connection::look_up(Exchange& exchange, const Header& header) {
  const Value cmd = *header.find("cmd");
  const std::string_view name = exchange.cmd();
  if (name.empty() || name.size() > 64) {
    exchange.refuse({Errc::invalid_argument,
                     "cmd must be a string of 1 to 64 bytes, and is " +
                         (cmd.string() ? "one of " + std::to_string(name.size()) + " bytes"
                                       : std::string(cmd.kind_name()))},
                    false);
    return nullptr;
  }
  if (name == "cancel") {
    cancel_target(exchange, header);
    return nullptr;
  }
  const Router::Command* command = server_->router().find(name);
  if (command == nullptr) {
    exchange.refuse(
        {Errc::unknown_command, "there is no command " + quoted(name) + "; 'help' lists them"},
        false);
    return nullptr;
  }
  return &server_->known_commands().remember(KnownCommand::of(header, *command));
}

// Whether the server can serve it just now, and a body of such a size; refuses it if not.
bool Connection::may_begin(Exchange& exchange, const Router::Command& command,
                           std::uint64_t frame_size, bool one_way) {
  const Limits& limits = server_->limits();
  const auto refuse = [&](const Error& error) {
    exchange.refuse(error, one_way);
    return false;
  };
  if (server_->draining() && !command.spec.while_draining) {
    return refuse({Errc::unavailable, "the server is stopping"});
  }
  const std::uint64_t others = in_flight_ - 1;
  if (others >= limits.max_in_flight) {
    return refuse({Errc::busy,
                   std::to_string(others) +
                       " requests of this connection are running, the limit is " +
                       std::to_string(limits.max_in_flight) + " (max_in_flight)",
                   "max_in_flight"});
  }
  if (server_->budget().exhausted() && !command.spec.while_draining) {
    return refuse(*server_->budget().refusal());
  }
  if (command.spec.takes_body && frame_size > command.body_bytes) {
    return refuse({Errc::too_large,
                   "the body has " + std::to_string(frame_size) + " bytes, '" + command.name +
                       "' takes up to " + std::to_string(command.body_bytes),
                   "body_bytes"});
  }
  return true;
}

void Connection::cancel_target(Exchange& request, const Header& header) {
  const Result<std::int64_t> target = header.integer("target", 0, (std::int64_t{1} << 53) - 1);
  if (!target) return request.refuse(target.error(), false);
  Exchange* exchange = find(static_cast<std::uint64_t>(*target));
  if (exchange == nullptr || exchange == &request || exchange->refused() ||
      exchange->state() == Exchange::State::done) {
    return request.refuse(
        {Errc::not_found, "no request with id " + std::to_string(*target) + " is running"}, false);
  }
  server_->observer().on_request(peer(), "cancel");
  exchange->cancel(CancelReason::cancelled);
  request.reply({});
}

void Connection::on_body(const Decoder::Body& body) {
  if (!receiving_) return;
  Ref<Exchange>(receiving_)->on_body(link_.chunk(body.bytes, body.remaining));
}

void Connection::on_end() {
  const Ref<Exchange> exchange = std::exchange(receiving_, {});
  if (!exchange) return;
  if (!last_frame_) return exchange->count();
  --unended_;
  exchange->on_end();
  if (exchange->state() == Exchange::State::done) forget(*exchange);
  // Replies without an id go out before the next request is looked at, and all at once where their
  // source has ended by now.
  if (!closed_ && (ordered_ || !ready_.alone())) pump();
  if (exchange->refs() > 1) exchange->count();  // it goes on
}

void Connection::on_input_end() {
  input_over_ = true;
  if (state_ == State::lingering) {
    if (link_.queued() == 0) close_lingering();
    return;
  }
  if (state_ == State::poisoned) return;
  if (bare_.awaiting_ready()) Ref<Exchange>(ordered_)->drop_reply(CancelReason::peer_gone);
  truncated_ = decoder_.inside_frame();
  drop_incomplete();
  keep_alive();
}

void Connection::on_hangup() {
  input_over_ = true;
  // On the wire ready a client that says nothing more can never ask for its data.
  if (wire() == Wire::ready && ordered_ && link_.input_exhausted()) {
    return Ref<Exchange>(ordered_)->lose();
  }
  keep_alive();
}

// Requests whose bodies will never be complete.
void Connection::drop_incomplete() {
  const std::vector<Ref<Exchange>> live = live_;
  for (const Ref<Exchange>& exchange : live) {
    if (exchange->body_ended() || closed_) continue;
    if (exchange->state() != Exchange::State::done) truncated_ = true;
    if (open_frame_ == exchange) return close(Observer::CloseReason::truncated, {}, true);
    exchange->lose();
    forget(*exchange);
  }
}

// ---- Replies ------------------------------------------------------------------------------------

void Connection::reply_ready(Exchange& exchange) {
  if (closed_ || exchange.state() == Exchange::State::done) return;
  if (!std::exchange(exchange.ready, true) && open_frame_.get() != &exchange) {
    exchange.join_before(ready_);
  }
  link_.touch();
}

bool Connection::reply_at_once(std::optional<std::uint64_t> id, const Members& members,
                               std::string_view body, bool was_read) {
  if (closed_ || open_frame_ || !ready_.alone() || link_.room() == 0) return false;
  if (id && body.size() > server_->limits().frame_bytes) return false;
  if (wire() == Wire::ready) return false;  // waits for the client's word
  const Result<void> appended =
      wire() == Wire::frame
          ? link_.append_head(
                {.id = id, .data_size = body.size(), .status = "ok", .members = members.text()})
          : link_.append_bare_head(wire(), body.size(), members.text());
  if (!appended) return false;
  if (was_read && body.size() > BlockPool::kCopyBytes) {
    link_.append(link_.keep(body));
  } else {
    link_.append(body);
  }
  return true;
}

// The reply is complete, or nobody is to get one.
void Connection::exchange_done(Exchange& exchange) {
  if (closed_) return;
  const Ref<Exchange> guard(&exchange);
  if (exchange.counted) {
    exchange.counted = false;
    --in_flight_;
  }
  if (ordered_ == guard) {
    ordered_ = {};
    bare_.expect_message();
  }
  if (open_frame_ == guard) open_frame_ = {};
  exchange.leave();
  exchange.ready = false;
  if (exchange.body_ended()) forget(exchange);
  link_.touch();
}

void Connection::on_output_room() {
  pump();
  if (!closed_) finish_if_done();
}

// Gives everybody who has something to send a frame in turn, as long as there is room.
void Connection::pump() {
  // Sources that woke themselves while they were asked, and had nothing all the same: they wait for
  // the next turn, or they could hold this one for ever.
  std::vector<Ref<Exchange>> again;
  while (!closed_ && link_.room() > 0) {
    Ref<Exchange> next = open_frame_;
    if (next) {
      if (!next->ready) break;
    } else {
      if (ready_.alone()) break;
      next = Ref<Exchange>(Exchange::of(*ready_.next()));
      next->leave();
    }
    next->ready = false;
    if (next->state() != Exchange::State::replying) continue;
    const Outgoing::Step step = next->advance(link_);
    if (closed_) return;
    switch (step) {
      case Outgoing::Step::finished:
        next->complete();
        break;
      case Outgoing::Step::waiting:
        if (next->held_back()) bare_.await_ready();
        if (next->frame_open()) open_frame_ = next;
        if (next->ready) {
          next->leave();
          next->ready = false;
          again.push_back(next);
        }
        break;
      case Outgoing::Step::sent:
        if (next->frame_open()) open_frame_ = next;
        if (open_frame_ == next) {
          next->ready = true;
        } else {
          reply_ready(*next);
        }
        break;
      case Outgoing::Step::failed:
        // The wire has no way to say an error: its connection ends, and the log says why.
        next->complete();
        if (!closed_) linger(Observer::CloseReason::broken_reply);
        return;
      case Outgoing::Step::broken:
        next->complete();
        if (closed_) return;
        return close(Observer::CloseReason::broken_reply, "a reply could not be completed", true);
    }
  }
  if (closed_ || again.empty()) return;
  for (const Ref<Exchange>& exchange : again) reply_ready(*exchange);
  link_.touch_again();
}

// After the peer's end of input: while a request with an id runs, an empty frame of it every
// second. A peer that has only ended its own side ignores it; a dead one's kernel answers with a
// reset, and that is how we learn of it.
void Connection::keep_alive() {
  // Where output waits already, that will meet the reset, and more would only pile up behind it.
  if (closed_ || state_ != State::open || open_frame_ || link_.queued() > 0) return;
  for (const Ref<Exchange>& exchange : live_) {
    if (!exchange->id() || exchange->one_way()) continue;
    if (exchange->state() == Exchange::State::done) continue;
    next_keep_alive_ = server_->loop().now() + kKeepAliveInterval;
    (void)link_.append_head({.id = exchange->id(), .more = true});
    return;
  }
}

// ---- Ending -------------------------------------------------------------------------------------

void Connection::finish_if_done() {
  const bool nothing_runs = std::all_of(live_.begin(), live_.end(), [](const auto& exchange) {
    return exchange->state() == Exchange::State::done;
  });
  if (!nothing_runs || open_frame_) return;
  if (state_ == State::poisoned) {
    (void)link_.append_head({.status = "error", .members = error_members(*fatal_)});
    linger(Observer::CloseReason::protocol_error);
  } else if (state_ == State::open && link_.input_ended()) {
    link_.shutdown_write();
  } else if (state_ == State::open && server_->draining() && !link_.holds_input() &&
             (!receiving_ || receiving_->state() == Exchange::State::done)) {
    linger(Observer::CloseReason::drained);
  }
}

void Connection::linger(Observer::CloseReason reason) {
  linger_reason_ = reason;
  set_state(State::lingering);
  link_.shutdown_write();
}

void Connection::on_shut() {
  if (!link_.input_ended()) {
    state_since_ = server_->loop().now();
    return;
  }
  if (state_ == State::lingering) return close_lingering();
  close(truncated_ ? Observer::CloseReason::truncated : Observer::CloseReason::finished, {}, false);
}

void Connection::close_lingering() {
  close(linger_reason_, {}, false);
}

// The connection, as too many of its requests were refused.
bool Connection::end_refused() {
  if (closed_ || state_ != State::open) return false;
  fail_protocol({Errc::protocol_error,
                 std::to_string(refused_) +
                     " requests of this connection were refused within a minute "
                     "(max_refused_per_minute)",
                 "max_refused_per_minute"});
  return true;
}

void Connection::fail_protocol(const Error& error) {
  if (state_ != State::open) return;
  server_->met(error);
  server_->observer().on_protocol_error(peer(), error);
  fatal_ = std::make_unique<Error>(error);
  set_state(State::poisoned);
  receiving_ = {};
  drop_incomplete();
  link_.touch();
}

void Connection::on_gone(Gone why, std::string_view detail) {
  close(why == Gone::peer ? Observer::CloseReason::reset : Observer::CloseReason::broken_reply,
        detail, true);
}

void Connection::close(Observer::CloseReason reason, std::string_view detail, bool reset) {
  if (std::exchange(closed_, true)) return;
  const Ref<Connection> guard(this);
  (void)peer();  // as long as it can be asked for
  const std::vector<Ref<Exchange>> live = std::move(live_);
  live_.clear();
  for (const Ref<Exchange>& exchange : live) exchange->leave();
  ordered_ = {};
  open_frame_ = {};
  receiving_ = {};
  link_.close(reset);
  for (const Ref<Exchange>& exchange : live) exchange->lose();
  if (AtOnce* call = std::exchange(at_once_, nullptr)) {  // its handler ends the server
    const Error gone = to_error(CancelReason::peer_gone);
    server_->observer().on_cancel(peer(), call->command.name, CancelReason::peer_gone);
    served(*call, 0, &gone);
  }
  server_->observer().on_close(peer(), reason, detail, link_.bytes_in(), link_.bytes_out());
  server_->remove(*this);
}

void Connection::limits_changed() {
  link_.options_changed();
}

void Connection::drain() {
  if (!closed_) link_.touch();
}

void Connection::cancel_all(CancelReason reason) {
  const std::vector<Ref<Exchange>> live = live_;
  for (const Ref<Exchange>& exchange : live) {
    if (!closed_) exchange->cancel(reason);
  }
}

void Connection::time_out(std::string_view limit, std::string_view detail, bool reset) {
  server_->observer().on_limit(limit);
  close(Observer::CloseReason::timed_out, detail, reset);
}

void Connection::end_overloaded() {
  server_->observer().on_limit("memory_bytes");
  close(Observer::CloseReason::overloaded, "the server is out of memory_bytes", true);
}

// Whether the body that is arriving comes slower than it may. Measured from look to look, over
// body_grace_ms at least, and not while we do not read.
bool Connection::body_is_slow(Time now) {
  const Limits& limits = server_->limits();
  if (decoder_.body_remaining() == 0 || !link_.reading()) {
    rate_since_ = {};
    return false;
  }
  const bool measured = rate_since_ != Time() && rate_since_ >= link_.reading_since();
  if (measured && now - rate_since_ < Millis(limits.body_grace_ms)) return false;
  const auto elapsed = static_cast<std::uint64_t>((now - rate_since_).count());
  const std::uint64_t came = link_.bytes_in() - rate_bytes_;
  rate_since_ = now;
  rate_bytes_ = link_.bytes_in();
  return measured && came < limits.body_rate_bytes * elapsed / 1'000;
}

void Connection::tick(Time now) {
  const Limits& limits = server_->limits();
  const auto over = [now](Time since, std::uint64_t limit_ms) {
    return now - since >= Millis(limit_ms);
  };
  if (link_.queued() > 0 && !link_.waits_for_disk() &&
      over(link_.last_write(), limits.write_stall_timeout_ms)) {
    return time_out("write_stall_timeout_ms", "the peer took no output for write_stall_timeout_ms");
  }
  if (state_ == State::lingering) {
    const bool drained = linger_reason_ == Observer::CloseReason::drained || server_->draining();
    const auto limit =
        drained ? static_cast<std::uint64_t>(kDrainLinger.count()) : limits.linger_timeout_ms;
    if (!over(state_since_, limit)) return;
    // Output that has not left yet is waited for as any other is; it is never cut off unnoticed.
    if (link_.queued() == 0) return close_lingering();
    if (!drained) close(linger_reason_, "its replies were not read", true);
    return;
  }
  if (state_ == State::poisoned) {
    if (!poison_cancelled_ && over(state_since_, limits.linger_timeout_ms)) {
      poison_cancelled_ = true;
      cancel_all(CancelReason::cancelled);
    }
    if (over(state_since_, limits.linger_timeout_ms + limits.cancel_grace_ms + 1'000)) {
      close(Observer::CloseReason::protocol_error, "its replies could not be sent", true);
    }
    return;
  }
  if (input_over_ && now >= next_keep_alive_) keep_alive();
  // A peer that we do not read from cannot be late.
  const auto late = [&](Time since, std::uint64_t limit_ms) {
    return link_.reading() && over(std::max(since, link_.reading_since()), limit_ms);
  };
  bool body_due = false;
  for (const Ref<Exchange>& exchange : live_) {
    if (exchange->body_ended()) continue;
    body_due = true;
    if (exchange->state() == Exchange::State::done &&
        late(exchange->done_at(), limits.discard_timeout_ms)) {
      return time_out("discard_timeout_ms",
                      "the body of an answered request did not end within discard_timeout_ms");
    }
  }
  cancel_overdue(now);
  if (closed_) return;
  if (in_header_ && late(header_since_, limits.header_timeout_ms)) {
    return fail_protocol({Errc::protocol_error,
                          "a frame's length and header did not arrive within " +
                              std::to_string(limits.header_timeout_ms) + " ms (header_timeout_ms)",
                          "header_timeout_ms"});
  }
  if (body_is_slow(now)) {
    return fail_protocol({Errc::protocol_error,
                          "a frame's body came slower than " +
                              std::to_string(limits.body_rate_bytes) +
                              " bytes a second (body_rate_bytes) for " +
                              std::to_string(limits.body_grace_ms) + " ms (body_grace_ms)",
                          "body_rate_bytes"});
  }
  if (body_due && !in_header_ && late(link_.last_read(), limits.idle_timeout_ms)) {
    return time_out("idle_timeout_ms", "nothing came of a request's body for idle_timeout_ms");
  }
  if (bare_.awaiting_ready()) {
    if (late(link_.last_write(), limits.ready_timeout_ms)) {
      return time_out("ready_timeout_ms",
                      "the client did not ask for its data for ready_timeout_ms");
    }
    if (server_->draining() &&
        over(link_.last_write(), static_cast<std::uint64_t>(kDrainLinger.count()))) {
      Ref<Exchange>(ordered_)->drop_reply(CancelReason::draining);
    }
  }
  if (live_.empty() && !in_header_ && over(link_.last_read(), limits.idle_timeout_ms) &&
      over(link_.last_write(), limits.idle_timeout_ms)) {
    return time_out("idle_timeout_ms", "nothing came for idle_timeout_ms", false);
  }
  if (now - refused_since_ >= kMinute) {
    refused_ = 0;
    refused_since_ = now;
  }
  if (live_.empty()) shrink();
}

// An idle connection holds little. What it needs again is made again, at most once in a sweep.
void Connection::shrink() {
  link_.shrink();
  peer_of_.reset();
  by_id_.reset();
  if (live_.capacity() > 0) live_.shrink_to_fit();
}

// Requests whose handlers have been silent for too long.
void Connection::cancel_overdue(Time now) {
  const auto overdue = [now](const auto& exchange) { return exchange->overdue(now); };
  if (std::none_of(live_.begin(), live_.end(), overdue)) return;
  const std::vector<Ref<Exchange>> live = live_;
  for (const Ref<Exchange>& exchange : live) {
    if (closed_ || !exchange->overdue(now)) continue;
    server_->observer().on_limit("request_timeout_ms");
    exchange->cancel(CancelReason::deadline);
  }
}

bool Connection::may_queue(const Buffer& reply) {
  const std::uint64_t waiting = link_.account()->held(Account::Use::reply);
  return waiting == 0 || waiting + reply.size() <= server_->limits().output_hard_bytes;
}

void Connection::on_pause(bool paused) {
  if (paused) {
    server_->observer().on_pause(peer());
  } else {
    server_->observer().on_resume(peer());
  }
}

bool Connection::may_collect(std::uint64_t own, std::uint64_t more) const noexcept {
  return collected_bytes_ == own ||
         collected_bytes_ + more <= server_->limits().collected_body_bytes;
}

// ---- The list of live requests ------------------------------------------------------------------

Exchange* Connection::find(std::uint64_t id) const noexcept {
  if (by_id_) {
    const auto found = by_id_->find(id);
    return found == by_id_->end() ? nullptr : found->second;
  }
  for (const Ref<Exchange>& exchange : live_) {
    if (exchange->id() == id) return exchange.get();
  }
  return nullptr;
}

void Connection::forget(Exchange& exchange) {
  const std::size_t at = exchange.live_index;
  if (at >= live_.size() || live_[at].get() != &exchange) return;
  if (!exchange.body_ended()) --unended_;
  if (by_id_ && exchange.id()) by_id_->erase(*exchange.id());
  if (at + 1 < live_.size()) {
    live_.back()->live_index = at;
    std::swap(live_[at], live_.back());
  }
  live_.pop_back();
}

}  // namespace v0
}  // namespace cleave
