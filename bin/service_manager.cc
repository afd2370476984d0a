// SPDX-License-Identifier: MIT
#include "cleave/bin/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

constexpr int kFirst = 3;  // the first inherited descriptor, behind the standard ones

std::optional<std::string> take_variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  std::string taken = value;
  ::unsetenv(name);
  return taken;
}

std::optional<int> number_from(std::string_view text) {
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

// The next of the names between colons; "unknown" when there are no more.
std::string take_name(std::string_view& names) {
  const std::string_view name = names.substr(0, names.find(':'));
  names.remove_prefix(std::min(names.size(), name.size() + 1));
  return name.empty() ? "unknown" : std::string(name);
}

// A text as the value of one line.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  return line;
}

}  // namespace

Result<std::vector<InheritedSocket>> take_inherited_sockets() {
  const auto process = take_variable("LISTEN_PID");
  const auto count = take_variable("LISTEN_FDS");
  const std::string all_names = take_variable("LISTEN_FDNAMES").value_or("");
  std::vector<InheritedSocket> sockets;
  // For somebody else: our parent may have been meant, and have left the variables as they were.
  if (!process || !count || number_from(*process) != ::getpid()) return sockets;
  const std::optional<int> number = number_from(*count);
  if (!number || *number < 0) {
    return fail(Errc::invalid_argument,
                "expected LISTEN_FDS to be a number of descriptors, got '" + *count + "'");
  }
  for (int i = 0; i < *number; ++i) {
    if (::fcntl(kFirst + i, F_SETFD, FD_CLOEXEC) != 0) {
      return fail(Errc::invalid_argument, "LISTEN_FDS is " + *count + ", and the descriptor " +
                                              std::to_string(kFirst + i) + " is not open");
    }
  }
  std::string_view names = all_names;
  for (int i = 0; i < *number; ++i) {
    sockets.push_back({take_name(names), kFirst + i, Fd(kFirst + i)});
  }
  return sockets;
}

ServiceManager ServiceManager::from_environment() {
  return ServiceManager(take_variable("NOTIFY_SOCKET").value_or(""));
}

Result<void> ServiceManager::ready(std::string_view status) const {
  return say("READY=1\nSTATUS=" + one_line(status));
}

Result<void> ServiceManager::reloading() const {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return say("RELOADING=1\nMONOTONIC_USEC=" +
             std::to_string(now.tv_sec * 1'000'000LL + now.tv_nsec / 1'000));
}

Result<void> ServiceManager::stopping(std::string_view status) const {
  return say("STOPPING=1\nSTATUS=" + one_line(status));
}

Result<void> ServiceManager::say(std::string_view lines) const {
  if (socket_.empty()) return {};
  const auto cannot = [this](const std::string& reason) {
    return fail(Errc::io_error, "cannot notify '" + socket_ + "' (NOTIFY_SOCKET): " + reason);
  };
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path) return cannot("its name is too long");
  if (socket_[0] != '/' && socket_[0] != '@') {
    return cannot("expected a path or a name behind an '@'");
  }
  socket_.copy(address.sun_path, socket_.size());
  if (socket_[0] == '@') address.sun_path[0] = '\0';  // a name that is no file's
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // It is to arrive, so a full queue is waited for; not for ever, as there are peers to be served.
  const timeval patience = {.tv_sec = 1, .tv_usec = 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::sendto(fd.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size())) < 0) {
    return cannot(std::strerror(errno));
  }
  return {};
}

}  // namespace v0
}  // namespace cleave
