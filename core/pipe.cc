// SPDX-License-Identifier: MIT
#include "cleave/core/pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "cleave/core/sigpipe.h"
#include "cleave/core/watcher.h"

namespace cleave {
inline namespace v0 {
namespace {

// Descriptors that are always ready, which epoll refuses to watch.
bool always_ready(int fd) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return false;
  return S_ISREG(status.st_mode) || S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode);
}

}  // namespace

// On the heap, so that its watcher finds it while its owner moves about.
class PipeEnd {
 public:
  static Result<std::unique_ptr<PipeEnd>> open(Loop& loop, Fd fd, UniqueFunction<void()> ready) {
    auto end = std::make_unique<PipeEnd>();
    const int flags = ::fcntl(fd.get(), F_GETFL);
    auto watcher = Watcher::create(
        loop, fd.get(), [self = end.get(), ready = std::move(ready)](Watcher::Events) mutable {
          self->watcher_->watch({});
          ready();
        });
    end->fd_ = std::move(fd);
    if (watcher) {
      end->watcher_ = std::move(*watcher);
      end->blocking_ = (flags & O_NONBLOCK) == 0;
    } else if (!always_ready(end->fd_.get())) {
      return fail(std::move(watcher.error()));
    }
    return end;
  }

  // What `call(fd)`, a read or a write, returns; empty when it would have to wait: then `ready` is
  // called once it need not.
  template <typename Call>
  [[nodiscard]] std::optional<ssize_t> attempt(Watcher::Events event, Call call) {
    // A blocking descriptor is asked first, the others say so themselves.
    pollfd asked{.fd = fd_.get(),
                 .events = static_cast<short>(event.readable ? POLLIN : POLLOUT),
                 .revents = 0};
    if (!blocking_ || ::poll(&asked, 1, 0) != 0) {
      ssize_t count = -1;
      do {
        count = call(fd_.get());
      } while (count < 0 && errno == EINTR);
      if (count >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return count;
    }
    if (watcher_.has_value()) watcher_->watch(event);
    return std::nullopt;
  }

  // Those of `events` that are so now, and POLLHUP.
  [[nodiscard]] short now(short events) const noexcept {
    pollfd asked{.fd = fd_.get(), .events = events, .revents = 0};
    return ::poll(&asked, 1, 0) > 0 ? asked.revents : short{0};
  }
  [[nodiscard]] std::size_t waiting() const noexcept {
    int count = 0;
    return ::ioctl(fd_.get(), FIONREAD, &count) == 0 ? static_cast<std::size_t>(count) : 0;
  }

  // How much of `size` may be written at once. POSIX has a pipe that is ready take PIPE_BUF bytes
  // whole; with more a blocking one may wait for its reader.
  [[nodiscard]] std::size_t at_once(std::size_t size) const noexcept {
    return blocking_ ? std::min<std::size_t>(size, PIPE_BUF) : size;
  }

 private:
  Fd fd_;  // declared first: the watcher must go before it
  std::optional<Watcher> watcher_;
  bool blocking_ = false;
};

// ---- reading ------------------------------------------------------------------------------------

Result<PipeReader> PipeReader::create(Loop& loop, Fd fd, UniqueFunction<void()> readable) {
  auto end = PipeEnd::open(loop, std::move(fd), std::move(readable));
  if (!end) return fail(std::move(end.error()));
  return PipeReader(std::move(*end));
}

std::optional<std::size_t> PipeReader::read(std::span<char> into) {
  const auto count = end_->attempt({.readable = true},
                                   [into](int fd) { return ::read(fd, into.data(), into.size()); });
  if (!count.has_value()) return std::nullopt;
  if (*count >= 0) return static_cast<std::size_t>(*count);
  error_ = errno;
  return 0;
}

bool PipeReader::readable() const noexcept {
  return end_->now(POLLIN) != 0;
}
bool PipeReader::has_writer() const noexcept {
  return (end_->now(0) & POLLHUP) == 0;
}
std::size_t PipeReader::waiting() const noexcept {
  return end_->waiting();
}

PipeReader::PipeReader(std::unique_ptr<PipeEnd> end) noexcept : end_(std::move(end)) {}
PipeReader::PipeReader(PipeReader&&) noexcept = default;
PipeReader& PipeReader::operator=(PipeReader&&) noexcept = default;
PipeReader::~PipeReader() = default;

// ---- writing ------------------------------------------------------------------------------------

Result<PipeWriter> PipeWriter::create(Loop& loop, Fd fd, UniqueFunction<void()> writable) {
  auto end = PipeEnd::open(loop, std::move(fd), std::move(writable));
  if (!end) return fail(std::move(end.error()));
  return PipeWriter(std::move(*end));
}

PipeWriter::Written PipeWriter::write(std::string_view bytes) {
  const SigpipeBlock block;  // the loop's does not help outside a turn, or in an embedder's
  std::size_t written = 0;
  while (written < bytes.size()) {
    const std::string_view rest = bytes.substr(written);
    const auto count = end_->attempt({.writable = true}, [&](int fd) {
      return ::write(fd, rest.data(), end_->at_once(rest.size()));
    });
    if (!count.has_value()) return {Outcome::would_block, written};
    if (*count < 0) return {Outcome::gone, written};
    written += static_cast<std::size_t>(*count);
  }
  return {Outcome::done, written};
}

PipeWriter::PipeWriter(std::unique_ptr<PipeEnd> end) noexcept : end_(std::move(end)) {}
PipeWriter::PipeWriter(PipeWriter&&) noexcept = default;
PipeWriter& PipeWriter::operator=(PipeWriter&&) noexcept = default;
PipeWriter::~PipeWriter() = default;

}  // namespace v0
}  // namespace cleave
