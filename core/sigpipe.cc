// SPDX-License-Identifier: MIT
#include "cleave/core/sigpipe.h"

#include <pthread.h>

#include <cerrno>
#include <ctime>

namespace cleave {
inline namespace v0 {
namespace {

sigset_t only_sigpipe() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

}  // namespace

SigpipeBlock::SigpipeBlock() noexcept {
  const sigset_t sigpipe = only_sigpipe();
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before_);
}

SigpipeBlock::~SigpipeBlock() {
  // Blocked by somebody else already: theirs to swallow.
  if (sigismember(&before_, SIGPIPE) == 1) return;
  sigset_t pending;
  if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1) {
    const sigset_t sigpipe = only_sigpipe();
    const timespec at_once{};
    while (sigtimedwait(&sigpipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace v0
}  // namespace cleave
