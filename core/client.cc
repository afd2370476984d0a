// SPDX-License-Identifier: MIT
#include "cleave/core/client.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/client_core.h"
#include "cleave/core/connect.h"
#include "cleave/core/gathering.h"
#include "cleave/core/reply_error.h"

namespace cleave {
inline namespace v0 {
// ---- ClientCore ---------------------------------------------------------------------------------

ClientCore::ClientCore(Loop& loop, std::unique_ptr<Stream> stream, const ClientOptions& options)
    : loop_(loop),
      options_(options),
      parser_(options.header),
      link_options_{.window_bytes = options.window_bytes,
                    .output_bytes = options.output_bytes,
                    .header_bytes = options.header.header_bytes,
                    .reads_when_full = true},
      link_(loop, std::move(stream), *this, link_options_),
      decoder_(parser_),
      silence_(loop, [this] { on_silence(); }) {}

ClientCore::~ClientCore() = default;

std::uint64_t ClientCore::add(Call call, std::optional<std::uint64_t> id, Running running) {
  const std::uint64_t key = id.value_or(next_one_way_);
  if (!id) ++next_one_way_;
  if (call.timeout) call.members.set("timeout_ms", call.timeout->count());
  running.outgoing = make_ref<Outgoing>(
      Outgoing::Kind::request, id, std::move(call.cmd),
      Reply{std::move(call.members), call.make_body ? call.make_body() : std::move(call.body), {}},
      OutgoingOptions{options_.frame_bytes, options_.collected_reply_bytes});
  running.outgoing->on_wake([this, key] { ready(key); });
  if (options_.silence_timeout && calls_.empty()) {
    sign_ = loop_.now();
    pinged_ = false;
    silence_.start(*options_.silence_timeout / 2);
  }
  calls_.insert_or_assign(key, std::move(running));
  ready(key);
  return key;
}

std::uint64_t ClientCore::start(Call call, std::unique_ptr<ReplyHandler> handler) {
  const std::uint64_t id = next_id_++;
  if (!connected() || finishing_) {
    // Not from inside the call: the caller does not expect its handler to be called yet.
    loop_.post([handler = std::move(handler)]() mutable {
      handler->on_end(fail(Errc::unavailable, "the connection has ended"), nullptr);
    });
    return id;
  }
  Running running;
  running.handler = std::move(handler);
  return add(std::move(call), id, std::move(running));
}

void ClientCore::start_one_way(Call call, UniqueFunction<void(Result<void>)> done) {
  if (!connected() || finishing_) {
    loop_.post([done = std::move(done)]() mutable {
      done(fail(Errc::unavailable, "the connection has ended"));
    });
    return;
  }
  Running running;
  running.done = std::move(done);
  add(std::move(call), std::nullopt, std::move(running));
}

void ClientCore::ready(std::uint64_t key) {
  const auto at = calls_.find(key);
  if (at == calls_.end() || !at->second.outgoing) return;
  if (!std::exchange(at->second.ready, true) && open_frame_ != key) ready_.push_back(key);
  link_.touch();
}

void ClientCore::on_output_room() {
  while (connected() && link_.room() > 0) {
    if (!open_frame_ && !cancels_.empty()) {
      const std::string members = "\"target\":" + std::to_string(cancels_.front());
      cancels_.pop_front();
      // Its reply, ok or not_found, tells nothing that the target's own reply does not.
      (void)link_.append_head({.cmd = "cancel", .id = next_id_++, .members = members});
      continue;
    }
    if (!open_frame_ && std::exchange(ping_wanted_, false)) {
      const std::uint64_t queued = link_.queued();
      (void)link_.append_head({.cmd = "ping", .id = next_id_++});
      counted_bytes_ += link_.queued() - queued;
      continue;
    }
    std::uint64_t key = 0;
    if (open_frame_) {
      key = *open_frame_;
    } else {
      if (ready_.empty()) break;
      key = ready_.front();
      ready_.pop_front();
    }
    const auto at = calls_.find(key);
    if (at == calls_.end() || !at->second.outgoing) continue;
    Running& running = at->second;
    if (open_frame_ && !running.ready) break;
    advance(key, running);
  }
  if (!connected()) return;
  for (const std::uint64_t key : std::exchange(again_, {})) {
    ready(key);
    link_.touch_again();
  }
  finish_one_way();
  if (finishing_ && connected()) {
    const bool sending = std::any_of(calls_.begin(), calls_.end(), [](const auto& call) {
      return static_cast<bool>(call.second.outgoing);
    });
    if (!sending && cancels_.empty()) link_.shutdown_write();
  }
}

void ClientCore::advance(std::uint64_t key, Running& running) {
  running.ready = false;
  const Ref<Outgoing> outgoing = running.outgoing;
  const Outgoing::Step step = outgoing->advance(link_);
  if (!connected()) return;
  if (outgoing->frame_open()) open_frame_ = key;
  switch (step) {
    case Outgoing::Step::finished:
      if (open_frame_ == key) open_frame_.reset();
      sent(key);
      break;
    case Outgoing::Step::waiting:
      // Woken while it was asked, and had nothing all the same: not in this turn again.
      if (running.ready) {
        running.ready = false;
        std::erase(ready_, key);
        again_.push_back(key);
      }
      break;
    case Outgoing::Step::sent:
      if (open_frame_ == key) {
        running.ready = true;
      } else {
        ready(key);
      }
      break;
    case Outgoing::Step::failed:
      call_off(key, running);
      break;
    case Outgoing::Step::broken:
      close({Errc::internal, "a request's body could not be completed"}, true);
      break;
  }
}

// A request that cannot be sent to its end. The server is told to drop what it got of it, and then
// where it ends; in this order, or it would take it as complete.
void ClientCore::call_off(std::uint64_t key, Running& running) {
  const Error error = *running.outgoing->error();
  if (running.outgoing->begun()) {
    if (running.handler) {
      const std::string members = "\"target\":" + std::to_string(key);
      (void)link_.append_head({.cmd = "cancel", .id = next_id_++, .members = members});
    }
    (void)link_.append_head({.id = key});
    running.outgoing = {};
    if (running.cancelled) return;
  }
  const std::shared_ptr<ReplyHandler> handler = std::move(running.handler);
  UniqueFunction<void(Result<void>)> done = std::move(running.done);
  calls_.erase(key);
  if (handler) handler->on_end(fail(error), nullptr);
  if (done) done(fail(error));
}

// One-way requests are done when the system has taken them.
void ClientCore::finish_one_way() {
  if (link_.queued() > 0) return;
  while (connected()) {
    const auto at = calls_.lower_bound(kFirstOneWay);
    if (at == calls_.end() || at->second.outgoing) break;
    auto done = std::move(at->second.done);
    calls_.erase(at);
    done({});
  }
}

// The request is sent, or ended before it was.
void ClientCore::sent(std::uint64_t key) {
  const auto at = calls_.find(key);
  if (at == calls_.end()) return;
  at->second.outgoing = {};
  if (!at->second.handler && !at->second.done) calls_.erase(at);  // its reply has come already
  // What this turn has appended is written at its end, often all at once; look again behind it.
  if (key >= kFirstOneWay) loop_.post([self = Ref<ClientCore>(this)] { self->finish_one_way(); });
}

void ClientCore::cancel(std::uint64_t id) {
  const auto at = calls_.find(id);
  if (at == calls_.end() || at->second.cancelled || !connected()) return;
  at->second.cancelled = true;
  if (!at->second.outgoing) {
    cancels_.push_back(id);
    return link_.touch();
  }
  const Ref<Outgoing> outgoing = at->second.outgoing;
  (void)outgoing->cancel(CancelReason::cancelled);
  ready(id);
}

void ClientCore::finish() {
  finishing_ = true;
  link_.touch();
}

// ---- Replies ------------------------------------------------------------------------------------

bool ClientCore::on_input(std::string_view& input) {
  Result<Decoder::Event> event = decoder_.next(input);
  if (!event) {
    close({Errc::protocol_error, "the server's reply makes no sense: " + event.error().message},
          true);
    return false;
  }
  if (std::holds_alternative<Decoder::NeedMore>(*event)) return false;
  if (const auto* head = std::get_if<Decoder::Head>(&*event)) {
    on_head(head->header);
  } else if (const auto* body = std::get_if<Decoder::Body>(&*event)) {
    if (const std::shared_ptr<ReplyHandler> handler = receiving_) {
      handler->on_body(link_.chunk(body->bytes, body->remaining));
    }
  } else {
    on_end();
  }
  return connected();
}

void ClientCore::on_head(const Ref<const Header>& header) {
  header_ = header;
  receiving_.reset();
  const std::optional<std::uint64_t> id = header->frame().id;
  if (!id) return;
  if (const auto at = calls_.find(*id); at != calls_.end() && at->second.handler) {
    const std::shared_ptr<ReplyHandler> handler = at->second.handler;
    receiving_ = handler;
    handler->on_frame(*header);
  }
}

void ClientCore::on_end() {
  const Ref<const Header> header = std::exchange(header_, {});
  receiving_.reset();
  if (header->frame().more) return;
  const std::optional<std::uint64_t> id = header->frame().id;
  if (!id) {
    // None of our requests is answered without one: the server says why it ends the connection, or
    // answers a one-way request, as it should not.
    if (has_status(*header, "error")) {
      broken_ = true;
      close(error_of(*header), false);
    }
    return;
  }
  const auto at = calls_.find(*id);
  if (at == calls_.end() || !at->second.handler) return;
  const std::shared_ptr<ReplyHandler> handler = std::move(at->second.handler);
  if (!at->second.outgoing) {
    calls_.erase(at);
  } else {
    // Answered before all of it was sent: the rest would only be dropped.
    at->second.outgoing->end_with(to_error(CancelReason::cancelled));
    ready(*id);
  }
  if (has_status(*header, "ok")) {
    handler->on_end({}, header.get());
  } else {
    handler->on_end(fail(error_of(*header)), header.get());
  }
}

// ---- Silence ------------------------------------------------------------------------------------

// Whether a ping may be sent, and would be answered.
bool ClientCore::can_ask() const {
  return !open_frame_ && std::any_of(calls_.begin(), calls_.end(), [](const auto& call) {
    return static_cast<bool>(call.second.handler);
  });
}

// When the server was last seen to live, or could not show it.
Time ClientCore::last_sign() {
  // We do not read, so it may be waiting for us; or it cannot be asked any more.
  if (!link_.reading() || finishing_) return loop_.now();
  // We owe it bytes, and have none of them; until then it has nothing to say.
  const bool to_take = link_.queued() > 0 && !link_.waits_for_disk();
  if (!to_take && !can_ask()) return loop_.now();
  Time sign = std::max({sign_, link_.last_read(), link_.reading_since()});
  if (link_.bytes_out() > counted_bytes_) {
    counted_bytes_ = link_.bytes_out();
    sign = std::max(sign, link_.last_write());
  }
  return sign;
}

void ClientCore::on_silence() {
  if (!connected() || calls_.empty()) return;
  const Millis limit = *options_.silence_timeout;
  if (const Time sign = last_sign(); sign > sign_) {
    sign_ = sign;
    pinged_ = false;
  }
  const Millis silence = loop_.now() - sign_;
  if (silence >= limit) {
    broken_ = true;
    return close({Errc::unavailable,
                  "the server has been silent for " + std::to_string(limit.count()) + " ms"},
                 true);
  }
  const bool due = silence >= limit / 2;
  if (due && !std::exchange(pinged_, true)) {
    ping_wanted_ = can_ask();
    if (ping_wanted_) link_.touch();
  }
  silence_.start((due ? limit : limit / 2) - silence);
}

// ---- Ending -------------------------------------------------------------------------------------

void ClientCore::on_input_end() {
  broken_ = decoder_.inside_frame();
  close({Errc::unavailable, decoder_.inside_frame()
                                ? "the server closed the connection in the middle of a reply"
                                : "the server closed the connection"},
        false);
}

void ClientCore::on_gone(Gone why, std::string_view detail) {
  broken_ = true;
  close({why == Gone::peer ? Errc::unavailable : Errc::io_error,
         "the connection broke: " + std::string(detail)},
        true);
}

void ClientCore::close(const Error& error, bool reset) {
  if (link_.closed()) return;
  const Ref<ClientCore> guard(this);
  link_.close(reset);
  silence_.stop();
  receiving_.reset();
  ready_.clear();
  std::map<std::uint64_t, Running> calls = std::exchange(calls_, {});
  for (auto& [id, running] : calls) {
    if (running.outgoing) (void)running.outgoing->cancel(CancelReason::peer_gone);
    running.outgoing = {};
    if (running.handler) running.handler->on_end(fail(error), nullptr);
    if (running.done) running.done(fail(error));
  }
  if (auto callback = std::exchange(on_close_, nullptr)) callback(error);
}

void ClientCore::abandon() {
  on_close_ = nullptr;
  close({Errc::unavailable, "the connection was closed here"}, false);
}

// ---- CallHandle, Client -------------------------------------------------------------------------

CallHandle::CallHandle() noexcept = default;
CallHandle::CallHandle(Ref<CallRunner> runner, std::uint64_t id) noexcept
    : runner_(std::move(runner)), id_(id) {}
CallHandle::CallHandle(const CallHandle&) noexcept = default;
CallHandle::CallHandle(CallHandle&&) noexcept = default;
CallHandle& CallHandle::operator=(CallHandle other) noexcept {
  runner_ = std::move(other.runner_);
  id_ = other.id_;
  return *this;
}
CallHandle::~CallHandle() = default;

void CallHandle::cancel() {
  if (runner_) runner_->cancel(id_);
}
bool CallHandle::running() const noexcept {
  return runner_ && runner_->running(id_);
}

void Client::connect(Loop& loop, std::string_view url, const ClientOptions& options,
                     Connected done) {
  connect_stream(
      loop, frame_endpoint(url), options.connect_timeout,
      [&loop, options, done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
        if (!stream) return done(fail(std::move(stream.error())));
        done(std::make_unique<Client>(loop, std::move(*stream), options));
      });
}

Client::Client(Loop& loop, std::unique_ptr<Stream> stream, const ClientOptions& options)
    : core_(make_ref<ClientCore>(loop, std::move(stream), options)) {
  core_->start_link();
}

Client::~Client() {
  core_->abandon();
}

CallHandle Client::call(Call call, UniqueFunction<void(Result<Answer>)> done) {
  auto gathering =
      std::make_unique<Gathering>(core_->options().collected_reply_bytes, std::move(done));
  Gathering& handler = *gathering;
  CallHandle handle = start(std::move(call), std::move(gathering));
  handler.set_call(handle);  // calls back in a later turn only, so it is there
  return handle;
}

CallHandle Client::start(Call call, std::unique_ptr<ReplyHandler> handler) {
  const std::uint64_t id = core_->start(std::move(call), std::move(handler));
  return CallHandle(core_, id);
}

void Client::start_one_way(Call call, UniqueFunction<void(Result<void>)> done) {
  core_->start_one_way(std::move(call), std::move(done));
}

void Client::on_close(UniqueFunction<void(Error)> callback) {
  core_->on_close(std::move(callback));
}
bool Client::connected() const noexcept {
  return core_->connected();
}
bool Client::broken() const noexcept {
  return core_->broken();
}
void Client::finish() {
  core_->finish();
}
void Client::reset() {
  core_->close({Errc::cancelled, "the connection was reset here"}, true);
}

}  // namespace v0
}  // namespace cleave
