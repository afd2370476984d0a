// SPDX-License-Identifier: MIT
#include "cleave/bin/load/alarm.h"

#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#ifdef __linux__
#include <sys/timerfd.h>

#include "cleave/core/file.h"
#include "cleave/core/watcher.h"
#include "cleave/handlers/local_error.h"
#endif

namespace cleave::load {

std::uint64_t now_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

Alarm::Alarm(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Alarm::Alarm(Alarm&&) noexcept = default;
Alarm& Alarm::operator=(Alarm&&) noexcept = default;
Alarm::~Alarm() = default;

#ifdef __linux__

struct Alarm::State {
  // At 0: never. Setting it makes it unread as well, so that it never has to be read.
  void set(std::uint64_t at) {
    if (is_set && at == set_to) return;
    constexpr std::uint64_t kSecond = 1'000'000'000;
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(at / kSecond);
    when.it_value.tv_nsec = static_cast<long>(at % kSecond);
    ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &when, nullptr);
    is_set = at != 0;
    set_to = at;
  }
  void on_time() {
    is_set = false;
    callback();
    if (!is_set) set(0);
  }

  Fd timer;  // declared first: the watcher must go before it
  std::optional<Watcher> watcher;
  UniqueFunction<void()> callback;
  bool is_set = false;
  std::uint64_t set_to = 0;
};

Result<Alarm> Alarm::create(Loop& loop, UniqueFunction<void()> callback) {
  auto state = std::make_unique<State>();
  state->timer = Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!state->timer) return fail(local_error(errno, "there is no timer"));
  state->callback = std::move(callback);
  Result<Watcher> watcher = Watcher::create(
      loop, state->timer.get(), [self = state.get()](Watcher::Events) { self->on_time(); });
  if (!watcher) return fail(watcher.error());
  state->watcher = *std::move(watcher);
  state->watcher->watch({.readable = true});
  return Alarm(std::move(state));
}

void Alarm::set(std::uint64_t at) {
  state_->set(at);
}

void Alarm::stop() {
  if (state_->is_set) state_->set(0);
}

#else

struct Alarm::State {
  State(Loop& loop, UniqueFunction<void()> callback) : timer(loop, std::move(callback)) {}
  Timer timer;
};

Result<Alarm> Alarm::create(Loop& loop, UniqueFunction<void()> callback) {
  return Alarm(std::make_unique<State>(loop, std::move(callback)));
}

void Alarm::set(std::uint64_t at) {
  constexpr std::uint64_t kMillisecond = 1'000'000;
  const std::uint64_t now = now_ns();
  const std::uint64_t left = at > now ? at - now : 0;
  state_->timer.start(Millis(static_cast<Millis::rep>((left + kMillisecond - 1) / kMillisecond)));
}

void Alarm::stop() {
  state_->timer.stop();
}

#endif

}  // namespace cleave::load
