// SPDX-License-Identifier: MIT
#include "cleave/bin/client/history_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "cleave/bin/client/environment.h"
#include "cleave/core/file.h"
#include "cleave/handlers/local_error.h"
#include "cleave/protocol/utf8.h"

namespace cleave::cli {
namespace {

// ---- What looks like a secret -------------------------------------------------------------------

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

// `name` is in lower case.
bool names_a_secret(std::string_view name) {
  constexpr std::array<std::string_view, 6> kAnywhere = {"passw", "passphrase", "secret",
                                                         "token", "credential", "authoriz"};
  constexpr std::array<std::string_view, 6> kParts = {"pass",   "pwd",    "auth",
                                                      "cookie", "bearer", "authentication"};
  for (const std::string_view part : kAnywhere) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  while (!name.empty()) {
    const std::size_t end = std::min(name.find_first_of("-_."), name.size());
    const std::string_view part = name.substr(0, end);
    if (part.ends_with("key") || std::ranges::find(kParts, part) != kParts.end()) return true;
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return false;
}

// scheme://user:password@host
bool has_password_in_url(std::string_view line) {
  for (std::size_t at = line.find("://"); at != std::string_view::npos; at = line.find("://", at)) {
    at += 3;
    const std::string_view authority = line.substr(at, line.substr(at).find_first_of("/ \t'\""));
    const std::size_t colon = authority.find(':');
    if (colon < authority.find('@') && authority.find('@') != std::string_view::npos) return true;
  }
  return false;
}

// What follows an option, or its name in lower case: -u NAME:PASSWORD, --proxy-user=NAME:PASSWORD,
// -uNAME:PASSWORD. A time, as of `date -u +%H:%M`, is none.
bool has_password_of_user(std::string_view name, std::string_view rest) {
  if (name.starts_with("-u") && rest.starts_with(':')) return true;
  if (name != "-u" && !(name.starts_with("--") && name.ends_with("user"))) return false;
  rest.remove_prefix(std::min(rest.find_first_not_of("=\"'\\ \t"), rest.size()));
  const std::string_view user = rest.substr(0, rest.find_first_of("\"' \t"));
  return !user.starts_with('+') && user.find(':') != std::string_view::npos;
}

// ---- The file -----------------------------------------------------------------------------------

constexpr int kLockTries = 50;
constexpr useconds_t kLockPause = 2'000;  // us

Error cannot(const std::string& what, const std::string& path, int number) {
  return local_error(number, "cannot " + what + " the history '" + path + "'");
}

// Others hold the lock for as long as it takes to write a page; who holds it longer hangs.
bool lock(const Fd& file, int kind) {
  for (int i = 0; i < kLockTries; ++i) {
    if (::flock(file.get(), kind | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    ::usleep(kLockPause);
  }
  return false;
}

Result<Fd> open_locked(const std::string& path, int flags, int kind) {
  // Not waiting: it may be anything.
  Fd file(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) return fail(cannot("open", path, errno));
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::invalid_argument, "the history '" + path + "' is no regular file");
  }
  // It may have been there already, for others to read.
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0 && ::fchmod(file.get(), 0600) != 0) {
    return fail(cannot("chmod", path, errno));
  }
  if (!lock(file, kind)) return fail(cannot("lock", path, errno));
  return file;
}

// All of it, or what is last of it.
Result<std::string> content(const Fd& file, const std::string& path) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail(cannot("read", path, errno));
  constexpr off_t kMost = HistoryFile::kFileBytes;
  const off_t begin = std::max<off_t>(info.st_size - kMost, 0);
  std::string bytes(static_cast<std::size_t>(info.st_size - begin), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file.get(), bytes.data() + done, bytes.size() - done,
                                  begin + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(cannot("read", path, errno));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  if (begin > 0) bytes.erase(0, std::min(bytes.find('\n'), bytes.size() - 1) + 1);
  return bytes;
}

// The lines of it that can have been ours.
std::vector<std::string> lines_of(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    const std::string_view line = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(line.size() + 1, bytes.size()));
    if (!line.empty() && line.size() <= HistoryFile::kLineBytes && is_utf8(line)) {
      lines.emplace_back(line);
    }
  }
  if (lines.size() > HistoryFile::kLines) {
    lines.erase(lines.begin(), lines.end() - HistoryFile::kLines);
  }
  return lines;
}

int write_at(const Fd& file, std::string_view bytes, off_t at) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file.get(), bytes.data(), bytes.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    at += count;
  }
  return 0;
}

// Those directories on the way to a file that are missing.
void make_parents(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), 0700);
  }
}

}  // namespace

bool is_secret(std::string_view line) {
  if (line.empty() || line.front() == ' ' || line.front() == '\t') return true;
  if (has_password_in_url(line)) return true;
  std::string lower(line);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  std::string_view rest = lower;
  while (!rest.empty()) {
    const auto end = std::ranges::find_if_not(rest, is_name_character);
    const std::string_view name = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
    rest.remove_prefix(name.size());
    if (!name.empty()) {
      // What closes the name's quotes, and blanks as JSON and headers may have them.
      const std::size_t next = rest.find_first_not_of("\"'\\ \t");
      const bool given = next != std::string_view::npos && (rest[next] == '=' || rest[next] == ':');
      if (has_password_of_user(name, rest)) return true;
      if ((given || name.starts_with('-')) && names_a_secret(name)) return true;
    } else {
      rest.remove_prefix(1);
    }
  }
  return false;
}

std::optional<HistoryFile> HistoryFile::of_environment() {
  if (auto chosen = environment_variable("CLEAVE_HISTORY")) {
    if (chosen->empty()) return std::nullopt;
    return HistoryFile(*std::move(chosen));
  }
  const auto folder = user_folder("XDG_STATE_HOME", ".local/state");
  if (!folder) return std::nullopt;
  return HistoryFile(*folder + "/cleave/history");
}

Result<std::vector<std::string>> HistoryFile::read() const {
  auto file = open_locked(path_, O_RDONLY, LOCK_SH);
  if (!file && file.error().code == Errc::not_found) return std::vector<std::string>();
  if (!file) return fail(file.error());
  auto bytes = content(*file, path_);
  if (!bytes) return fail(bytes.error());
  return lines_of(*bytes);
}

Result<void> HistoryFile::add(std::string_view line) const {
  if (line.size() > kLineBytes || !is_utf8(line)) return {};
  auto file = open_locked(path_, O_RDWR | O_CREAT, LOCK_EX);
  if (!file && file.error().code == Errc::not_found) {
    make_parents(path_);
    file = open_locked(path_, O_RDWR | O_CREAT, LOCK_EX);
  }
  if (!file) return fail(file.error());
  auto bytes = content(*file, path_);
  if (!bytes) return fail(bytes.error());
  std::vector<std::string> lines = lines_of(*bytes);
  if (!lines.empty() && lines.back() == line) return {};

  // Where there is room the line goes behind the others; else, and where the file is not as we
  // would have written it, all of it is written anew.
  std::string as_written;
  for (const std::string& each : lines) as_written += each + "\n";
  const bool append = lines.size() < kLines && as_written == *bytes &&
                      ::lseek(file->get(), 0, SEEK_END) == static_cast<off_t>(bytes->size());
  if (!append && lines.size() == kLines) {
    as_written.erase(0, lines.front().size() + 1);
  }
  const auto end = static_cast<off_t>(as_written.size());
  const std::string last = std::string(line) + "\n";
  const int failed = append ? write_at(*file, last, end) : write_at(*file, as_written + last, 0);
  if (failed != 0) {
    if (append) (void)::ftruncate(file->get(), end);  // half a line would spoil the next one
    return fail(cannot("write", path_, failed));
  }
  if (!append && ::ftruncate(file->get(), end + static_cast<off_t>(last.size())) != 0) {
    return fail(cannot("write", path_, errno));
  }
  return {};
}

}  // namespace cleave::cli
