// SPDX-License-Identifier: MIT
#include "cleave/bin/client/standard_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "cleave/bin/client/system_error.h"

namespace cleave::cli {

Source::Pulled StandardInput::pull(std::size_t room) {
  pollfd ready{STDIN_FILENO, POLLIN, 0};
  if (::poll(&ready, 1, 0) <= 0) return wait();
  std::string bytes(std::min<std::size_t>(room, 65'536), '\0');
  const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  if (count > 0) {
    bytes.resize(static_cast<std::size_t>(count));
    return Piece{Buffer::own(std::move(bytes))};
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return wait();
  // A standard input that was closed before we began has nothing to say either.
  if (count == 0 || errno == EBADF) return Done{};
  return Done{{}, system_error(errno, "cannot read standard input")};
}

Source::Pulled StandardInput::wait() {
  if (!watcher_) {
    const int flags = ::fcntl(STDIN_FILENO, F_GETFL);
    auto watcher = Watcher::create(loop_, STDIN_FILENO, [this](Watcher::Events) {
      watcher_->watch({});
      wake();
    });
    if (!watcher) return Done{{}, watcher.error()};
    watcher_.emplace(std::move(*watcher));
    // libuv makes what it watches non-blocking, for everybody who shares it.
    ::fcntl(STDIN_FILENO, F_SETFL, flags);
  }
  watcher_->watch({.readable = true, .hangup = true});
  return Later{};
}

}  // namespace cleave::cli
