// SPDX-License-Identifier: MIT
#include "cleave/bin/client/session.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

namespace cleave::cli {
namespace {

constexpr Millis kInterruptGrace(1'000);
// How much longer than its deadline a request is waited for: the server keeps the deadline and has
// five seconds to end a handler, and its answer says more than our own would.
constexpr Millis kDeadlineGrace(7'000);
constexpr Millis kCloseGrace(10'000);
constexpr std::size_t kCollectedBytes = std::size_t{64} * 1024 * 1024;

Error interrupted_error() {
  return Error{Errc::cancelled, "interrupted"};
}

// A running request, shared by the one who waits for it and the handler that the client keeps: one
// that is given up must not reach a sink that has gone.
struct Running {
  Sink* sink;
  std::optional<Outcome> outcome = {};
};

class Receiver final : public ReplyHandler {
 public:
  explicit Receiver(std::shared_ptr<Running> running) : running_(std::move(running)) {}
  void on_frame(const Header& header) override {
    if (running_->sink != nullptr) running_->sink->on_frame(header);
  }
  void on_body(Chunk chunk) override {
    if (running_->sink != nullptr) running_->sink->on_body(std::move(chunk));
  }
  void on_end(Result<void> result, const Header* header) override {
    running_->outcome = Outcome{std::move(result), Ref<const Header>(header)};
  }

 private:
  std::shared_ptr<Running> running_;
};

class Collector final : public Sink {
 public:
  Collector(Session& session, std::string& body) : session_(session), body_(body) {}
  void on_body(Chunk chunk) override {
    if (chunk.size() > kCollectedBytes - body_.size()) {
      too_large_ = true;
      return session_.cancel();
    }
    body_ += chunk.bytes();
  }
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }

 private:
  Session& session_;
  std::string& body_;
  bool too_large_ = false;
};

}  // namespace

Session::~Session() = default;

Outcome Session::run(const Settings& settings, Call call, Sink& sink) {
  if (auto connected = connect(settings); !connected) return {fail(connected.error())};
  call.timeout = settings.timeout;
  auto running = std::make_shared<Running>(Running{&sink});
  bool late = false;
  Timer deadline(loop_, [this, &late] {
    late = true;
    client_->reset();
  });
  if (settings.timeout) deadline.start(*settings.timeout + kDeadlineGrace);
  call_ = client_->start(std::move(call), std::make_unique<Receiver>(running));
  const bool ended = wait_until([&running] { return running->outcome.has_value(); });
  running->sink = nullptr;
  call_ = CallHandle();
  if (!ended) return {fail(interrupted_error())};
  if (late) return {fail(Errc::deadline_exceeded, "the server has not answered in time")};
  if (settings.verbose && running->outcome->header) {
    std::fprintf(stderr, "cleave: reply %s\n",
                 std::string(running->outcome->header->json()).c_str());
  }
  return std::move(*running->outcome);
}

Outcome Session::run(const Settings& settings, Call call, std::string& body) {
  Collector collector(*this, body);
  Outcome outcome = run(settings, std::move(call), collector);
  if (collector.too_large()) {
    outcome.result = fail(Errc::too_large,
                          "the reply is longer than " + std::to_string(kCollectedBytes) + " bytes");
  }
  return outcome;
}

Result<void> Session::run_one_way(const Settings& settings, Call call) {
  if (auto connected = connect(settings); !connected) return fail(connected.error());
  auto sent = std::make_shared<std::optional<Result<void>>>();
  client_->start_one_way(std::move(call),
                         [sent](Result<void> result) { *sent = std::move(result); });
  if (!wait_until([sent] { return sent->has_value(); })) return fail(interrupted_error());
  if (**sent) {
    client_->finish();
    // A server that never notices our end of input has got everything all the same.
    bool late = false;
    Timer patience(loop_, [&late] { late = true; });
    patience.start(kCloseGrace);
    if (!wait_until([this, &late] { return late || !client_->connected(); })) {
      return fail(interrupted_error());
    }
  }
  client_.reset();
  return **sent;
}

bool Session::wait_until(UniqueFunction<bool()> done) {
  while (!given_up_ && !done()) loop_.step_waiting();
  return !given_up_;
}

void Session::cancel() {
  call_.cancel();
}

Result<SignalWatcher> Session::watch_interrupts() {
  interrupts_ = 0;
  return SignalWatcher::create(loop_, SIGINT, [this] { interrupt(); });
}

Result<void> Session::connect(const Settings& settings) {
  // Between two requests at the prompt the loop stands still: see what has happened meanwhile.
  loop_.step();
  if (client_ && client_->connected()) return {};
  client_.reset();
  ClientOptions options;
  if (settings.timeout) {
    options.connect_timeout = std::min(options.connect_timeout, *settings.timeout);
  }
  auto done = std::make_shared<std::optional<Result<std::unique_ptr<Client>>>>();
  Client::connect(loop_, url_, options,
                  [done](Result<std::unique_ptr<Client>> client) { *done = std::move(client); });
  if (!wait_until([done] { return done->has_value(); })) return fail(interrupted_error());
  if (!**done) return fail((*done)->error());
  client_ = std::move(***done);
  if (settings.verbose) std::fprintf(stderr, "cleave: connected to %s\n", url_.c_str());
  return {};
}

void Session::interrupt() {
  ++interrupts_;
  if (interrupts_ > 1 || !call_.running()) return give_up();
  call_.cancel();
  loop_.after(kInterruptGrace, [this, call = call_] {
    if (call.running()) give_up();
  });
}

void Session::give_up() {
  given_up_ = true;
  if (client_) client_->reset();
}

}  // namespace cleave::cli
