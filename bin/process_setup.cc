// SPDX-License-Identifier: MIT
#include "cleave/bin/process_setup.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <new>
#include <string>

namespace cleave {
inline namespace v0 {
namespace {

// Descriptors for listeners, the log and the loop itself.
constexpr std::uint64_t kOwn = 64;

// Half of them are for files (see Lane): four files at once is as much as a disk is faster for.
constexpr const char* kPoolThreads = "8";

}  // namespace

void prepare_process(const char* program) {
  static std::string no_memory;  // made while there is some
  no_memory = std::string(program) + ": the system gives it no more memory\n";
  // What peers may cost has its limits, so this is not theirs to cause; and nobody could go on.
  std::set_new_handler([] {
    (void)!::write(STDERR_FILENO, no_memory.data(), no_memory.size());
    std::_Exit(1);
  });
  // open(2) takes the lowest free number, so these fill the gaps from below.
  int fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd >= 0) ::close(fd);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // Inherited as ignored, it would have the system forget how programs ended.
  std::signal(SIGCHLD, SIG_DFL);
  ::setenv("UV_THREADPOOL_SIZE", kPoolThreads, 0);
}

std::uint64_t make_room_for(std::uint64_t connections, std::uint64_t others) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  const rlim_t wanted = std::min<rlim_t>(connections + others + kOwn, limit.rlim_max);
  if (limit.rlim_cur < wanted) {
    rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  const rlim_t reserve = std::min<rlim_t>(others + kOwn, limit.rlim_cur / 2);
  return std::clamp<std::uint64_t>(limit.rlim_cur - reserve, 1, connections);
}

}  // namespace v0
}  // namespace cleave
