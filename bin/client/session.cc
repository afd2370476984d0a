// SPDX-License-Identifier: MIT
#include "cleave/bin/client/session.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>
#include <variant>

#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

constexpr Millis kInterruptGrace(1'000);
// How long a cancelled call waits by itself: longer, as it is ended by a reset before.
constexpr Millis kCancelGrace = 2 * kInterruptGrace;
// How much longer than its deadline a request is waited for: the server keeps the deadline and has
// five seconds to end a handler, and its answer says more than our own would.
constexpr Millis kDeadlineGrace(7'000);
constexpr Millis kCloseGrace(10'000);
constexpr std::size_t kCollectedBytes = std::size_t{64} * 1024 * 1024;

class Collector final : public Sink {
 public:
  Collector(Session& session, std::string& body) : session_(session), body_(body) {}
  void on_body(Buffer bytes) override {
    if (too_large_) return;  // a shorter piece would still find room
    if (bytes.size() > kCollectedBytes - body_.size()) {
      too_large_ = true;
      return session_.cancel();
    }
    body_ += bytes.bytes();
  }
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }

 private:
  Session& session_;
  std::string& body_;
  bool too_large_ = false;
};

// A copy of what can be asked twice without harm, for a connection that its server may have closed
// after the last reply, as those servers of the wire raw do that take one message each.
std::optional<Call> copy_to_repeat(const Endpoint& server, const Call& call) {
  if (server.wire != Wire::raw || server.is_datagram() || call.cmd == "exec") return std::nullopt;
  return Call{.cmd = call.cmd,
              .body = Buffer::copy_of(std::get<Buffer>(call.body).bytes()),
              .timeout = call.timeout};
}

ClientOptions client_options(const Settings& settings) {
  ClientOptions options;
  options.connect_timeout = settings.connect_timeout;
  options.silence_timeout = settings.silence_timeout;
  return options;
}

}  // namespace

Error interrupted_error() {
  return Error{Errc::cancelled, "interrupted"};
}

// The time that a command may take; none: any.
class Session::Deadline {
 public:
  Deadline(Loop& loop, std::optional<Millis> time) : timer_(loop, [this] { passed_ = true; }) {
    if (time) timer_.start(*time);
  }
  void restart(Millis time) { timer_.start(time); }
  [[nodiscard]] bool passed() const noexcept { return passed_; }

 private:
  bool passed_ = false;
  Timer timer_;
};

Session::~Session() = default;

Outcome Session::run(const Settings& settings, Call call, Sink& sink) {
  // Between two requests at the prompt the loop stands still: see what has happened meanwhile.
  loop_.step();
  Deadline deadline(loop_, settings.timeout);
  call.timeout = settings.timeout;
  std::optional<Call> again;
  if (channel_ && channel_->usable()) again = copy_to_repeat(server_, call);
  Outcome outcome = ask(settings, deadline, std::move(call), sink);
  if (!outcome.result && outcome.result.error().code == Errc::unavailable && again &&
      !running_->begun) {
    outcome = ask(settings, deadline, *std::move(again), sink);
  }
  if (settings.verbose && outcome.header) {
    console_.remark("reply " + json_line(outcome.header->json()));
  }
  return outcome;
}

Outcome Session::ask(const Settings& settings, Deadline& deadline, Call call, Sink& sink) {
  running_ = std::make_shared<Pending>(Pending{&sink});
  if (auto opened = open_channel(settings, deadline); !opened) return {fail(opened.error())};
  // Frames have a ping to ask with. Elsewhere silence is all that is known, and a program's is its
  // own affair.
  const bool watched = server_.wire != Wire::frame && !server_.is_datagram() && call.cmd != "exec";
  const std::optional<Millis> patience = watched ? settings.silence_timeout : std::nullopt;
  Deadline silence(loop_, patience);
  std::uint64_t seen = 0;
  channel_->start(std::move(call), running_);
  const bool kept = wait_until([&] {
    if (patience && std::exchange(seen, running_->pieces) != running_->pieces) {
      silence.restart(*patience);
    }
    return running_->outcome.has_value() || deadline.passed() || silence.passed();
  });
  running_->sink = nullptr;
  if (!kept) return {fail(interrupted_error())};
  if (!running_->outcome) {
    channel_->reset();
    if (!deadline.passed()) {
      return {fail(Errc::unavailable,
                   "the server has been silent for " + std::to_string(patience->count()) + " ms")};
    }
    return {fail(Errc::deadline_exceeded, "the server has not answered in time")};
  }
  return std::move(*running_->outcome);
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
  Deadline deadline(loop_, settings.timeout);
  auto client = connect<Client>(settings, deadline);
  if (!client) return fail(client.error());
  auto ended = std::make_shared<std::optional<Error>>();
  (*client)->on_close([ended](Error error) { *ended = std::move(error); });
  auto sent = std::make_shared<std::optional<Result<void>>>();
  (*client)->start_one_way(std::move(call),
                           [sent](Result<void> result) { *sent = std::move(result); });
  const bool kept = wait_interruptibly([&] { return sent->has_value() || deadline.passed(); });
  if (!kept || !*sent) {
    (*client)->reset();
    if (!kept) return fail(interrupted_error());
    return fail(Errc::deadline_exceeded, "the server has not taken everything in time");
  }
  if (!**sent) return **sent;
  (*client)->finish();
  // A server that never notices our end of input has got everything all the same, as far as one can
  // know who has all the time.
  Deadline patience(loop_, settings.timeout ? std::nullopt : std::optional(kCloseGrace));
  if (!wait_interruptibly(
          [&] { return patience.passed() || deadline.passed() || !(*client)->connected(); })) {
    (*client)->reset();
    return fail(interrupted_error());
  }
  if (deadline.passed()) {
    return fail(Errc::deadline_exceeded,
                "everything was sent, and the server has not closed the connection in time: "
                "nobody knows whether it has read it");
  }
  if ((*client)->broken() && *ended) return fail(**ended);
  return {};
}

ReconnectingClient& Session::client(const Settings& settings) {
  const ClientOptions wanted = client_options(settings);
  if (client_ && wanted.silence_timeout != connecting_.silence_timeout) {
    // What stands was made with another patience.
    channel_.reset();
    client_.reset();
  }
  connecting_ = wanted;
  if (!client_) {
    const ReconnectingOptions options{.answer_grace = kDeadlineGrace, .cancel_grace = kCancelGrace};
    client_ = std::make_unique<ReconnectingClient>(
        loop_,
        [this](Client::Connected done) {
          Client::connect(loop_, server_.url(), connecting_, std::move(done));
        },
        options);
  }
  client_->on_connect([this, verbose = settings.verbose] { on_connected(verbose); });
  return *client_;
}

bool Session::wait_until(UniqueFunction<bool()> done) {
  while (!given_up_ && !done()) loop_.step_waiting();
  return !given_up_;
}

bool Session::wait_cancellably(UniqueFunction<bool()> done, UniqueFunction<void()> cancel) {
  cancel_ = std::move(cancel);
  const bool kept = wait_until(std::move(done));
  cancel_ = nullptr;
  return kept;
}

bool Session::wait_interruptibly(UniqueFunction<bool()> done) {
  interruptible_ = true;
  const bool kept = wait_until([&] { return !interruptible_ || done(); });
  return std::exchange(interruptible_, false) && kept;
}

void Session::cancel() {
  if (!running_ || running_->outcome) return;
  if (!channel_->cancel()) return channel_->reset();
  // A server that goes on all the same is not listened to for ever.
  loop_.after(kInterruptGrace, [this, pending = running_] {
    if (!pending->outcome && pending == running_) channel_->reset();
  });
}

Result<Session::Interrupts> Session::watch_interrupts() {
  interrupts_ = 0;
  given_up_ = false;
  auto watcher = SignalWatcher::create(loop_, SIGINT, [this] { interrupt(); });
  if (!watcher) return fail(watcher.error());
  return Interrupts(*this, *std::move(watcher));
}

template <typename Connecting>
Result<std::unique_ptr<Connecting>> Session::connect(const Settings& settings,
                                                     const Deadline& deadline) {
  using Connected = Result<std::unique_ptr<Connecting>>;
  auto done = std::make_shared<std::optional<Connected>>();
  Connecting::connect(loop_, server_.url(), client_options(settings),
                      [done](Connected client) { *done = std::move(client); });
  if (!wait_interruptibly([&] { return done->has_value() || deadline.passed(); })) {
    return fail(interrupted_error());
  }
  if (!*done) {
    return fail(Errc::deadline_exceeded, "the server has not taken the connection in time");
  }
  if (**done) on_connected(settings.verbose);
  return std::move(**done);
}

Result<void> Session::open_channel(const Settings& settings, Deadline& deadline) {
  if (speaks_frames()) {
    ReconnectingClient& frames = client(settings);
    if (!channel_) channel_ = channel_over(frames);
  } else if (!channel_ || !channel_->usable()) {
    channel_.reset();
    if (server_.is_datagram()) {
      auto client = DatagramClient::create(loop_, server_.url());
      if (!client) return fail(client.error());
      channel_ = channel_over(*std::move(client));
    } else {
      auto client = connect<BareClient>(settings, deadline);
      if (!client) return fail(client.error());
      channel_ = channel_over(*std::move(client), server_.wire);
    }
  }
  // Datagrams are sent again and again for exactly the time, and the last word is theirs.
  if ((server_.wire == Wire::frame || server_.is_datagram()) && settings.timeout) {
    deadline.restart(*settings.timeout + kDeadlineGrace);
  }
  return {};
}

void Session::on_connected(bool verbose) {
  reached_ = true;
  if (verbose) console_.remark("connected to " + server_.url());
}

void Session::interrupt() {
  ++interrupts_;
  console_.on_interrupt();
  if (interrupts_ == 1 && std::exchange(interruptible_, false)) return;
  const bool running = running_ && !running_->outcome && channel_;
  if (interrupts_ > 1 || !(running || cancel_)) return give_up();
  if (cancel_) {
    cancel_();
  } else if (!channel_->cancel()) {
    channel_->reset();
  }
  // The command ends soon, or what it waits for is not the server.
  loop_.after(kInterruptGrace, [this, command = commands_] {
    if (command == commands_) give_up();
  });
}

void Session::give_up() {
  given_up_ = true;
  may_hang_ = true;
  if (channel_) channel_->reset();
  if (client_) client_->reset();
}

}  // namespace cleave::cli
