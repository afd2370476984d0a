// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>

namespace cleave {
inline namespace v0 {

// Internal. While it lives, a write to a reader that has gone fails with EPIPE and nothing more: it
// does not kill the process. It blocks SIGPIPE for the calling thread and swallows the one that
// came of it, rather than ignoring the signal for the whole process, which belongs to the program
// and would be inherited by its children. Costs two system calls, three with a SIGPIPE.
class SigpipeBlock {
 public:
  SigpipeBlock() noexcept;
  ~SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

 private:
  sigset_t before_;
};

}  // namespace v0
}  // namespace cleave
