// SPDX-License-Identifier: MIT
#include "cleave/core/reconnecting_client.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cleave/core/call_runner.h"
#include "cleave/core/connect.h"
#include "cleave/core/gathering.h"

namespace cleave {
inline namespace v0 {
namespace {

// What is sent of a body that may have to be sent again. (A Source cannot be, see repeatable().)
Body share_of(const Body& body) {
  if (const auto* buffer = std::get_if<Buffer>(&body)) return buffer->share();
  if (const auto* range = std::get_if<FileRange>(&body)) return *range;
  return {};
}

bool repeatable(const Call& call) {
  return call.idempotent &&
         (call.make_body || !std::holds_alternative<std::shared_ptr<Source>>(call.body));
}

}  // namespace

// The calls, each of which is with a Client, waits for one, or waits for the time of its next
// attempt.
class ReconnectingCore final : public RefCounted<ReconnectingCore>, public CallRunner {
 public:
  ReconnectingCore(Loop& loop, ReconnectingClient::Connect connect,
                   const ReconnectingOptions& options)
      : loop_(loop), connect_(std::move(connect)), options_(options) {
    if (!options_.retry.chance) options_.retry.chance = system_chance();
  }

  void add_ref() const noexcept override { RefCounted::add_ref(); }
  void drop_ref() const noexcept override { RefCounted::drop_ref(); }
  void cancel(std::uint64_t id) override;
  [[nodiscard]] bool running(std::uint64_t id) const noexcept override {
    return calls_.count(id) > 0;
  }

  std::uint64_t start(Call call, std::unique_ptr<ReplyHandler> handler);
  void connect(UniqueFunction<void(Result<void>)> done);
  [[nodiscard]] bool connected() const noexcept { return client_ && client_->connected(); }
  void on_connect(UniqueFunction<void()> callback) { on_connect_ = std::move(callback); }
  // Ends everything with `error`.
  void end_all(const Error& error, bool reset);
  // The ReconnectingClient goes.
  void abandon();

  [[nodiscard]] Loop& loop() const noexcept { return loop_; }
  [[nodiscard]] const ReconnectingOptions& options() const noexcept { return options_; }

 private:
  class Attempt;
  struct Kept {
    Call call;
    // Shared with the call that is being made to it, as that may end everything.
    std::shared_ptr<ReplyHandler> handler;
    bool repeatable = false;
    std::optional<Time> deadline = {};
    std::optional<Timer> patience = {};  // until the deadline, or the end of a grace
    std::optional<Timer> pause = {};     // until the next attempt
    CallHandle sent = {};                // of the Client that has it
    bool with_client = false;
    std::uint64_t connection = 0;  // which it was sent on
    unsigned failures = 0;
    bool begun = false;  // some of a reply has been passed on
    bool cancelled = false;
  };

  void submit(std::uint64_t id);
  void send(std::uint64_t id, Kept& kept);
  void make_connection();
  void on_connection(Result<std::unique_ptr<Client>> client);
  void retire(std::uint64_t connection);
  void failed(std::uint64_t id, const Error& error, const Header* header);
  void on_deadline(std::uint64_t id);
  void give_up(std::uint64_t id, Error error);
  [[nodiscard]] bool in_use(std::uint64_t connection) const;
  void finish(std::uint64_t id, Result<void> outcome, const Header* header);

  Loop& loop_;
  ReconnectingClient::Connect connect_;
  ReconnectingOptions options_;
  std::unique_ptr<Client> client_;
  std::map<std::uint64_t, std::unique_ptr<Client>> retired_;  // finish what they have
  std::map<std::uint64_t, Kept> calls_;
  std::uint64_t next_id_ = 1;
  std::vector<std::uint64_t> waiting_;  // for a connection
  std::vector<UniqueFunction<void(Result<void>)>> connecting_;
  UniqueFunction<void()> on_connect_;
  bool making_ = false;  // a connection
  std::uint64_t connection_ = 0;
  bool abandoned_ = false;
};

// One sending of a call. Events of a call that has ended meanwhile reach nobody.
class ReconnectingCore::Attempt final : public ReplyHandler {
 public:
  Attempt(Ref<ReconnectingCore> core, std::uint64_t id) : core_(std::move(core)), id_(id) {}

  void on_frame(const Header& header) override {
    if (const std::shared_ptr<ReplyHandler> handler = find()) handler->on_frame(header);
  }
  void on_body(Chunk chunk) override {
    if (const std::shared_ptr<ReplyHandler> handler = find()) handler->on_body(std::move(chunk));
  }
  void on_end(Result<void> outcome, const Header* header) override {
    const auto at = core_->calls_.find(id_);
    if (at == core_->calls_.end()) return;
    at->second.with_client = false;
    if (outcome) return core_->finish(id_, {}, header);
    // The server's own word, on a connection that stands: it will serve nobody here any more.
    if (outcome.error().code == Errc::unavailable && header != nullptr) {
      core_->retire(at->second.connection);
    }
    core_->failed(id_, outcome.error(), header);
  }

 private:
  std::shared_ptr<ReplyHandler> find() {
    const auto at = core_->calls_.find(id_);
    if (at == core_->calls_.end()) return nullptr;
    at->second.begun = true;
    return at->second.handler;
  }

  Ref<ReconnectingCore> core_;
  std::uint64_t id_;
};

std::uint64_t ReconnectingCore::start(Call call, std::unique_ptr<ReplyHandler> handler) {
  const std::uint64_t id = next_id_++;
  Kept& kept = calls_[id];
  kept.repeatable = repeatable(call);
  kept.call = std::move(call);
  kept.handler = std::move(handler);
  if (kept.call.timeout) {
    kept.deadline = loop_.now() + *kept.call.timeout;
    kept.patience.emplace(loop_, [this, id] { on_deadline(id); });
    kept.patience->start(*kept.call.timeout);
  }
  submit(id);
  return id;
}

void ReconnectingCore::submit(std::uint64_t id) {
  if (connected()) return send(id, calls_.at(id));
  waiting_.push_back(id);
  make_connection();
}

void ReconnectingCore::send(std::uint64_t id, Kept& kept) {
  Call call{.cmd = kept.call.cmd, .members = kept.call.members};
  if (kept.call.make_body) {
    call.body = kept.call.make_body();
  } else if (kept.repeatable) {
    call.body = share_of(kept.call.body);
  } else {
    call.body = std::exchange(kept.call.body, {});
  }
  if (kept.deadline) call.timeout = std::max(Millis(1), *kept.deadline - loop_.now());
  kept.with_client = true;
  kept.connection = connection_;
  kept.sent =
      client_->start(std::move(call), std::make_unique<Attempt>(Ref<ReconnectingCore>(this), id));
}

void ReconnectingCore::make_connection() {
  if (std::exchange(making_, true)) return;
  connect_([self = Ref<ReconnectingCore>(this)](Result<std::unique_ptr<Client>> client) {
    self->on_connection(std::move(client));
  });
}

void ReconnectingCore::on_connection(Result<std::unique_ptr<Client>> client) {
  making_ = false;
  if (abandoned_) return;
  const std::vector<std::uint64_t> waiting = std::exchange(waiting_, {});
  auto connecting = std::exchange(connecting_, {});
  std::optional<Error> error;
  if (client) {
    client_ = *std::move(client);
    ++connection_;
    if (on_connect_) on_connect_();
  } else {
    error = std::move(client.error());
  }
  // Whoever is told may end other calls, and the connection; then they wait for the next one.
  for (const std::uint64_t id : waiting) {
    const auto at = calls_.find(id);
    if (at == calls_.end()) continue;
    if (error) {
      failed(id, *error, nullptr);
    } else {
      submit(id);
    }
  }
  for (auto& done : connecting) {
    done(error ? fail(*error) : Result<void>());
  }
}

bool ReconnectingCore::in_use(std::uint64_t connection) const {
  return std::any_of(calls_.begin(), calls_.end(), [&](const auto& call) {
    return call.second.with_client && call.second.connection == connection;
  });
}

// No further call goes by that connection. What runs on it goes on.
void ReconnectingCore::retire(std::uint64_t connection) {
  if (!client_ || connection != connection_) return;
  const auto at = retired_.emplace(connection, std::move(client_)).first;
  if (in_use(connection)) return at->second->finish();
  const std::unique_ptr<Client> client = std::move(at->second);
  retired_.erase(at);
  client->reset();
}

void ReconnectingCore::failed(std::uint64_t id, const Error& error, const Header* header) {
  Kept& kept = calls_.at(id);
  ++kept.failures;
  const bool again = kept.repeatable && may_pass(error.code) && !kept.cancelled &&
                     kept.failures < options_.retry.attempts;
  if (!again) return finish(id, fail(error), header);
  const Millis delay = retry_delay(options_.retry, kept.failures);
  if (kept.deadline && loop_.now() + delay >= *kept.deadline) {
    return finish(id, fail(error), header);
  }
  if (std::exchange(kept.begun, false)) {
    const std::shared_ptr<ReplyHandler> handler = kept.handler;
    if (!handler->on_restart()) return finish(id, fail(error), header);
    if (calls_.count(id) == 0) return;
  }
  kept.pause.emplace(loop_, [this, id] { submit(id); });
  kept.pause->start(delay);
}

void ReconnectingCore::on_deadline(std::uint64_t id) {
  const Ref<ReconnectingCore> guard(this);
  Kept& kept = calls_.at(id);
  const Time end = *kept.deadline + options_.answer_grace;
  if (kept.with_client && loop_.now() < end) return kept.patience->start(end - loop_.now());
  std::string waited = std::to_string(kept.call.timeout->count()) + " ms";
  if (kept.with_client) {
    waited += " and " + std::to_string(options_.answer_grace.count()) + " ms of grace";
  }
  give_up(id, {Errc::deadline_exceeded, "there was no answer within " + waited});
}

// The server has had its time, if it has the call at all.
void ReconnectingCore::give_up(std::uint64_t id, Error error) {
  const Ref<ReconnectingCore> guard(this);
  Kept& kept = calls_.at(id);
  const bool with_client = kept.with_client;
  const std::uint64_t connection = kept.connection;
  CallHandle sent = std::move(kept.sent);
  finish(id, fail(std::move(error)), nullptr);
  if (!with_client) return;
  sent.cancel();
  retire(connection);
}

void ReconnectingCore::cancel(std::uint64_t id) {
  const auto at = calls_.find(id);
  if (at == calls_.end() || std::exchange(at->second.cancelled, true)) return;
  Kept& kept = at->second;
  if (kept.with_client) {
    kept.patience.emplace(loop_, [this, id] {
      give_up(id, {Errc::cancelled, "the call was cancelled, and the server did not say so"});
    });
    kept.patience->start(options_.cancel_grace);
    return kept.sent.cancel();
  }
  kept.pause.reset();
  std::erase(waiting_, id);
  // Not from inside the call: the caller does not expect its handler to be called yet.
  loop_.post([self = Ref<ReconnectingCore>(this), id] {
    self->finish(id, fail(Errc::cancelled, "the call was cancelled before it was sent"), nullptr);
  });
}

void ReconnectingCore::finish(std::uint64_t id, Result<void> outcome, const Header* header) {
  const auto at = calls_.find(id);
  if (at == calls_.end()) return;
  const std::shared_ptr<ReplyHandler> handler = std::move(at->second.handler);
  const std::uint64_t connection = at->second.connection;
  calls_.erase(at);
  // The last one that a retired connection had.
  std::unique_ptr<Client> done_with;
  if (const auto old = retired_.find(connection); old != retired_.end() && !in_use(connection)) {
    done_with = std::move(old->second);
    retired_.erase(old);
  }
  handler->on_end(std::move(outcome), header);
}

void ReconnectingCore::connect(UniqueFunction<void(Result<void>)> done) {
  if (connected()) {
    return loop_.post([done = std::move(done)]() mutable { done({}); });
  }
  connecting_.push_back(std::move(done));
  make_connection();
}

void ReconnectingCore::end_all(const Error& error, bool reset) {
  const Ref<ReconnectingCore> guard(this);
  const std::unique_ptr<Client> client = std::move(client_);
  const auto retired = std::exchange(retired_, {});
  const std::map<std::uint64_t, Kept> calls = std::exchange(calls_, {});
  auto connecting = std::exchange(connecting_, {});
  waiting_.clear();
  if (reset && client) client->reset();
  for (const auto& [connection, old] : retired) {
    if (reset) old->reset();
  }
  for (const auto& [id, kept] : calls) kept.handler->on_end(fail(error), nullptr);
  for (auto& done : connecting) done(fail(error));
}

void ReconnectingCore::abandon() {
  abandoned_ = true;
  on_connect_ = nullptr;
  end_all({Errc::unavailable, "the connection was closed here"}, false);
}

// ---- ReconnectingClient -------------------------------------------------------------------------

Result<std::unique_ptr<ReconnectingClient>> ReconnectingClient::create(
    Loop& loop, std::string_view url, const ReconnectingOptions& options) {
  if (auto endpoint = frame_endpoint(url); !endpoint) return fail(endpoint.error());
  return std::make_unique<ReconnectingClient>(
      loop,
      [&loop, url = std::string(url), client = options.client](Client::Connected done) {
        Client::connect(loop, url, client, std::move(done));
      },
      options);
}

ReconnectingClient::ReconnectingClient(Loop& loop, Connect connect,
                                       const ReconnectingOptions& options)
    : core_(make_ref<ReconnectingCore>(loop, std::move(connect), options)) {}

ReconnectingClient::~ReconnectingClient() {
  core_->abandon();
}

CallHandle ReconnectingClient::call(Call call, UniqueFunction<void(Result<Answer>)> done) {
  auto gathering =
      std::make_unique<Gathering>(core_->options().client.collected_reply_bytes, std::move(done));
  Gathering& handler = *gathering;
  CallHandle handle = start(std::move(call), std::move(gathering));
  handler.set_call(handle);  // calls back in a later turn only, so it is there
  return handle;
}

CallHandle ReconnectingClient::start(Call call, std::unique_ptr<ReplyHandler> handler) {
  const std::uint64_t id = core_->start(std::move(call), std::move(handler));
  return CallHandle(core_, id);
}

void ReconnectingClient::connect(UniqueFunction<void(Result<void>)> done) {
  core_->connect(std::move(done));
}
bool ReconnectingClient::connected() const noexcept {
  return core_->connected();
}
void ReconnectingClient::on_connect(UniqueFunction<void()> callback) {
  core_->on_connect(std::move(callback));
}
void ReconnectingClient::reset() {
  core_->end_all({Errc::cancelled, "the connection was reset here"}, true);
}
Loop& ReconnectingClient::loop() const noexcept {
  return core_->loop();
}

}  // namespace v0
}  // namespace cleave
