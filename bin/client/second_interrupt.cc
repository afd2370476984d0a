// SPDX-License-Identifier: MIT
#include "cleave/bin/client/second_interrupt.h"

#include <csignal>

#include "cleave/bin/client/exit_status.h"

namespace cleave::cli {
namespace {

// What a signal handler may look at.
volatile std::sig_atomic_t watching = 0;
volatile std::sig_atomic_t unheard = 0;
void (*tell_the_loop)(int) = nullptr;

void on_sigint(int signal) {
  if (watching != 0 && unheard != 0) exit_at_once(kInterrupted);
  unheard = 1;
  tell_the_loop(signal);
}

}  // namespace

SecondInterrupt::SecondInterrupt(Loop& loop)
    : heard_(SignalWatcher::create(loop, SIGINT, [] { unheard = 0; })) {
  struct sigaction action {};
  if (!heard_ || ::sigaction(SIGINT, nullptr, &action) != 0) return;
  if (action.sa_handler != on_sigint) {
    tell_the_loop = action.sa_handler;
    action.sa_handler = on_sigint;
    ::sigaction(SIGINT, &action, nullptr);
  }
  unheard = 0;
  watching = 1;
}

SecondInterrupt::~SecondInterrupt() {
  watching = 0;
}

}  // namespace cleave::cli
