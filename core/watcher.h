// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Watches a file descriptor (a socket, a pipe, a pidfd, a terminal; not a regular file) and calls
// back while it is ready, level-triggered: as long as it stays so, once a turn. The descriptor
// stays its owner's, who destroys the watcher before closing it, and keeps its flags (libuv would
// make it non-blocking). May be destroyed from inside its own call.
class CLEAVE_API Watcher {
 public:
  struct Events {
    bool readable = false;
    bool writable = false;
    bool hangup = false;    // the peer's end of input; stays so, so stop watching it
    bool priority = false;  // never comes for a stream; watching it alone still tells an error
    bool error = false;     // reset or broken; told once, and watching has stopped by itself
    bool operator==(const Events&) const = default;
  };

  // One watcher per descriptor. Fails with `io_error`.
  [[nodiscard]] static Result<Watcher> create(Loop& loop, int fd,
                                              UniqueFunction<void(Events)> callback);
  Watcher(Watcher&&) noexcept;
  Watcher& operator=(Watcher&&) noexcept;
  ~Watcher();

  // Which of the first four to tell from now on; none stops. Setting what is set already is free.
  void watch(Events events);

 private:
  struct Box;
  explicit Watcher(Box* box) noexcept : box_(box) {}
  Box* box_ = nullptr;
};

// Calls back on the loop's thread when the process gets a signal, as long as it exists.
class CLEAVE_API SignalWatcher {
 public:
  [[nodiscard]] static Result<SignalWatcher> create(Loop& loop, int signal,
                                                    UniqueFunction<void()> callback);
  SignalWatcher(SignalWatcher&&) noexcept;
  SignalWatcher& operator=(SignalWatcher&&) noexcept;
  ~SignalWatcher();

 private:
  struct Box;
  explicit SignalWatcher(Box* box) noexcept : box_(box) {}
  Box* box_ = nullptr;
};

}  // namespace v0
}  // namespace cleave
