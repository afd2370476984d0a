// SPDX-License-Identifier: MIT
#include "cleave/handlers/remains.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <utility>

#include "cleave/handlers/directory_stream.h"

namespace cleave {
inline namespace v0 {
namespace {

// Who forks faster than we look is not chased for ever.
constexpr std::chrono::seconds kChase(1);
constexpr std::size_t kMarkLength = 32;

std::string read_all(const Fd& file) {
  std::string text;
  std::array<char, 16 * 1024> piece{};
  for (;;) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
}

// The mark that a process was started with, or an empty one. `process` is its directory in /proc,
// and stays that process's: once it has ended there is nothing to be read.
std::string mark_of(const Fd& process) {
  const Fd file(::openat(process.get(), "environ", O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  const std::string name = '\0' + std::string(kMarkName) + '=';
  const std::string environment = '\0' + read_all(file);
  const std::size_t found = environment.find(name);
  return found == std::string::npos ? std::string()
                                    : environment.substr(found + name.size(), kMarkLength);
}

// By its directory, so that no stranger is hit who got the number a moment ago.
void send_signal(const Fd& process, const std::string& pid, int signal) {
#ifdef SYS_pidfd_send_signal
  if (::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0) return;
  if (errno != ENOSYS) return;
#endif
  ::kill(std::stoi(pid), signal);
}

// Sends a signal to all processes with one of the marks, but for those that were `passed`, which it
// adds them to. How many there were.
template <typename Marks>
std::size_t signal_marked(const Fd& proc, const Marks& marks, int signal,
                          std::set<std::string>& passed) {
  OrErrno<DirectoryStream> stream = DirectoryStream::open(proc);
  if (!stream) return 0;
  const std::string self = std::to_string(::getpid());
  std::size_t count = 0;
  for (std::string name(stream->next()); !name.empty(); name = stream->next()) {
    const bool is_process =
        std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!is_process || name == self || passed.contains(name)) continue;
    const Fd process(::openat(proc.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!process || !marks.contains(mark_of(process))) continue;
    send_signal(process, name, signal);
    passed.insert(name);
    ++count;
  }
  return count;
}

// First they are all stopped, so that none forks, or takes the place of one that has gone under a
// limit of processes, while others are being looked for. Two looks in a row have to find nobody: in
// the middle of execve(2) a process has no environment to be seen.
template <typename Marks>
void kill_marked(const Marks& marks) {
  const Fd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!proc) return;
  const auto end = std::chrono::steady_clock::now() + kChase;
  std::set<std::string> stopped;
  for (int in_vain = 0; in_vain < 2 && std::chrono::steady_clock::now() < end;) {
    in_vain = signal_marked(proc, marks, SIGSTOP, stopped) == 0 ? in_vain + 1 : 0;
  }
  std::set<std::string> killed;
  if (!stopped.empty()) signal_marked(proc, marks, SIGKILL, killed);
}

}  // namespace

Result<std::string> make_mark() {
  std::array<unsigned char, kMarkLength / 2> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) {
    return fail(Errc::io_error, "the system gives no random bytes");
  }
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string mark;
  for (const unsigned char byte : bytes) {
    mark += kDigits[byte >> 4];
    mark += kDigits[byte & 15];
  }
  return mark;
}

Remains::~Remains() {
  Marks marks = std::exchange(kept_->waiting, {});
  marks.merge(Marks(kept_->in_work));
  kill(kept_->cgroups.get(), marks);
}

void Remains::clear(const std::string& mark) {
  kept_->waiting.insert(mark);
  if (kept_->in_work.empty()) begin(loop_, kept_);
}

void Remains::begin(Loop& loop, const std::shared_ptr<Kept>& kept) {
  kept->in_work = std::exchange(kept->waiting, {});
  loop.offload([cgroups = kept->cgroups, marks = kept->in_work] { kill(cgroups.get(), marks); },
               [&loop, kept] {
                 kept->in_work.clear();
                 if (!kept->waiting.empty()) begin(loop, kept);
               });
}

void Remains::kill(const RunCgroups* cgroups, const Marks& marks) {
  if (marks.empty()) return;
  if (cgroups == nullptr) return kill_marked(marks);
  for (const std::string& mark : marks) cgroups->clear(mark);
}

}  // namespace v0
}  // namespace cleave
