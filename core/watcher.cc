// SPDX-License-Identifier: MIT
#include "cleave/core/watcher.h"

#include <fcntl.h>
#include <poll.h>
#include <uv.h>

#include <string>
#include <utility>

#include "cleave/core/uv_handle.h"

namespace cleave {
inline namespace v0 {
namespace {

int to_uv(Watcher::Events events) noexcept {
  return (events.readable ? UV_READABLE : 0) | (events.writable ? UV_WRITABLE : 0) |
         (events.hangup ? UV_DISCONNECT : 0) | (events.priority ? UV_PRIORITIZED : 0);
}

Watcher::Events from_uv(int events) noexcept {
  return {.readable = (events & UV_READABLE) != 0,
          .writable = (events & UV_WRITABLE) != 0,
          .hangup = (events & UV_DISCONNECT) != 0,
          .priority = (events & UV_PRIORITIZED) != 0};
}

// Where priority is watched, libuv 1.44 passes an error that comes alone (the write end of a pipe
// without readers) off as priority, over and over.
bool hidden_error(const uv_poll_t& handle, int events) noexcept {
  if ((events & UV_PRIORITIZED) == 0) return false;
  pollfd asked{.fd = -1, .events = POLLPRI, .revents = 0};
  uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle), &asked.fd);
  return ::poll(&asked, 1, 0) == 1 && (asked.revents & POLLPRI) == 0;
}

// A callback that may destroy its owner: it is destroyed with the owner, but not under its own
// feet.
template <typename Signature>
class OwnedCallback;

template <typename... Args>
class OwnedCallback<void(Args...)> {
 public:
  explicit OwnedCallback(UniqueFunction<void(Args...)> function) noexcept
      : function_(std::move(function)) {}

  void call(Args... args) {
    calling_ = true;
    function_(args...);
    calling_ = false;
    if (owner_gone_) function_.reset();
  }
  void owner_goes() noexcept {
    owner_gone_ = true;
    if (!calling_) function_.reset();
  }

 private:
  UniqueFunction<void(Args...)> function_;
  bool calling_ = false;
  bool owner_gone_ = false;
};

// Opens a handle whose box outlives the call of its own callback.
template <typename Box, typename Init>
Result<Box*> open(std::unique_ptr<Box> box, Init init, const std::string& what) {
  int status = 0;
  UvHandle<Box> handle = open_uv_handle(std::move(box), init, status);
  if (handle == nullptr) return fail(Errc::io_error, what + ": " + uv_strerror(status));
  handle->data = handle.get();
  return handle.release();
}

template <typename Box>
void close(Box* box) noexcept {
  if (box == nullptr) return;
  box->callback.owner_goes();
  UvHandle<Box>{box}.reset();
}

}  // namespace

struct Watcher::Box : UvBox<uv_poll_t> {
  explicit Box(UniqueFunction<void(Events)> function) noexcept : callback(std::move(function)) {}

  OwnedCallback<void(Events)> callback;
  int watched = 0;
};

Result<Watcher> Watcher::create(Loop& loop, int fd, UniqueFunction<void(Events)> callback) {
  const int flags = ::fcntl(fd, F_GETFL);
  auto box = open(
      std::make_unique<Box>(std::move(callback)),
      [&](Box& raw) { return uv_poll_init(loop.uv(), &raw, fd); },
      "descriptor " + std::to_string(fd) + " cannot be watched");
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd, F_SETFL, flags);
  if (!box) return fail(std::move(box.error()));
  return Watcher(*box);
}

void Watcher::watch(Events events) {
  const int wanted = to_uv(events);
  if (wanted == std::exchange(box_->watched, wanted)) return;
  if (wanted == 0) {
    uv_poll_stop(box_);
    return;
  }
  uv_poll_start(box_, wanted, [](uv_poll_t* raw, int status, int ready) noexcept {
    auto* box = static_cast<Box*>(raw);
    if (box->data == nullptr) return;
    // The status of an error is none of the descriptor's own. libuv has stopped watching by then.
    if (status >= 0 && !hidden_error(*raw, ready)) return box->callback.call(from_uv(ready));
    uv_poll_stop(raw);
    box->watched = 0;
    box->callback.call(Events{.error = true});
  });
}

Watcher::Watcher(Watcher&& other) noexcept : box_(std::exchange(other.box_, nullptr)) {}
Watcher& Watcher::operator=(Watcher&& other) noexcept {
  close(std::exchange(box_, std::exchange(other.box_, nullptr)));
  return *this;
}
Watcher::~Watcher() {
  close(box_);
}

struct SignalWatcher::Box : UvBox<uv_signal_t> {
  explicit Box(UniqueFunction<void()> function) noexcept : callback(std::move(function)) {}

  OwnedCallback<void()> callback;
};

Result<SignalWatcher> SignalWatcher::create(Loop& loop, int signal,
                                            UniqueFunction<void()> callback) {
  const std::string what = "signal " + std::to_string(signal) + " cannot be watched";
  auto box = open(
      std::make_unique<Box>(std::move(callback)),
      [&](Box& raw) { return uv_signal_init(loop.uv(), &raw); }, what);
  if (!box) return fail(std::move(box.error()));
  SignalWatcher watcher(*box);
  const int status = uv_signal_start(
      *box,
      [](uv_signal_t* raw, int) noexcept {
        auto* self = static_cast<Box*>(raw);
        if (self->data != nullptr) self->callback.call();
      },
      signal);
  if (status < 0) return fail(Errc::io_error, what + ": " + uv_strerror(status));
  return watcher;
}

SignalWatcher::SignalWatcher(SignalWatcher&& other) noexcept
    : box_(std::exchange(other.box_, nullptr)) {}
SignalWatcher& SignalWatcher::operator=(SignalWatcher&& other) noexcept {
  close(std::exchange(box_, std::exchange(other.box_, nullptr)));
  return *this;
}
SignalWatcher::~SignalWatcher() {
  close(box_);
}

}  // namespace v0
}  // namespace cleave
