// SPDX-License-Identifier: MIT
#include "cleave/handlers/marked.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>

#include "cleave/core/file.h"

namespace cleave {
inline namespace v0 {
namespace {

// Who forks faster than we look is not chased for ever.
constexpr int kRounds = 20;

struct CloseDirectory {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

// Whether `variable` is one of those with which the process was started.
bool has_variable(int proc, const char* process, const std::string& variable) {
  const std::string name = std::string(process) + "/environ";
  const Fd file(::openat(proc, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::string kept(1, '\0');  // the end of what was read before, which a variable may begin in
  std::array<char, 16 * 1024> piece{};
  const std::string wanted = '\0' + variable + '\0';
  for (;;) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    kept.append(piece.data(), static_cast<std::size_t>(count));
    if (kept.find(wanted) != std::string::npos) return true;
    if (kept.size() > wanted.size()) kept.erase(0, kept.size() - wanted.size());
  }
}

}  // namespace

std::string make_mark() {
  std::array<unsigned char, 16> bytes{};
  std::string mark;
  if (::getentropy(bytes.data(), bytes.size()) != 0) return mark;
  for (const unsigned char byte : bytes) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    mark += kDigits[byte >> 4];
    mark += kDigits[byte & 15];
  }
  return mark;
}

void kill_marked(const std::string& mark) {
  if (mark.empty()) return;
  const std::string variable = std::string(kMarkName) + "=" + mark;
  for (int round = 0; round < kRounds; ++round) {
    const std::unique_ptr<DIR, CloseDirectory> proc(::opendir("/proc"));
    if (!proc) return;
    bool found = false;
    while (const dirent* entry = ::readdir(proc.get())) {
      const std::string_view name = entry->d_name;
      pid_t pid = 0;
      const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
      if (parsed.ptr != name.data() + name.size() || pid <= 1 || pid == ::getpid()) continue;
      if (!has_variable(::dirfd(proc.get()), entry->d_name, variable)) continue;
      found = ::kill(pid, SIGKILL) == 0 || found;
    }
    if (!found) return;
  }
}

}  // namespace v0
}  // namespace cleave
