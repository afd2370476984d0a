// SPDX-License-Identifier: MIT
#include "cleave/handlers/file_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "cleave/handlers/local_error.h"

namespace cleave {
inline namespace v0 {
namespace {

// The errno of the write that failed, or 0.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      // Somebody else has made the descriptor non-blocking.
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

struct FileWriter::State : std::enable_shared_from_this<State> {
  State(Loop& in, SharedFd to, std::string called, UniqueFunction<void()> on_failure)
      : loop(in), fd(std::move(to)), name(std::move(called)), failed(std::move(on_failure)) {}

  // Hands all that waits to a worker, one batch at a time.
  void start() {
    if (busy || waiting.empty()) return;
    busy = true;
    auto batch = std::make_shared<std::vector<Buffer>>(std::exchange(waiting, {}));
    loop.offload(
        [self = shared_from_this(), batch] {
          for (const Buffer& bytes : *batch) {
            if (const int number = write_all(self->fd->get(), bytes.bytes())) return number;
            self->digests.update(bytes.bytes());
          }
          return 0;
        },
        [self = shared_from_this(), batch](int number) {
          self->busy = false;
          if (number != 0) return self->fail(number);
          for (const Buffer& bytes : *batch) self->written += bytes.size();
          self->start();
          self->tell_idle();
        },
        Lane::disk);
  }
  void tell_idle() {
    if (busy || !waiting.empty()) return;
    if (auto callback = std::exchange(on_idle, nullptr)) callback();
  }
  void fail(int number) {
    error = local_error(number, "cannot write " + name);
    waiting.clear();
    if (failed) failed();
    tell_idle();
  }

  Loop& loop;
  SharedFd fd;
  std::string name;
  UniqueFunction<void()> failed;
  std::vector<Buffer> waiting;
  bool busy = false;
  std::optional<Error> error;
  std::uint64_t written = 0;
  FileDigests digests;  // the worker's while one is busy
  UniqueFunction<void()> on_idle;
};

FileWriter::FileWriter(Loop& loop, SharedFd fd, std::string name, UniqueFunction<void()> failed)
    : state_(std::make_shared<State>(loop, std::move(fd), std::move(name), std::move(failed))) {}

FileWriter::~FileWriter() {
  state_->waiting.clear();
  state_->failed.reset();
  state_->on_idle.reset();
}

void FileWriter::go_on(FileDigests digests, std::uint64_t written) {
  state_->digests = std::move(digests);
  state_->written = written;
}

void FileWriter::write(Buffer bytes) {
  if (state_->error) return;
  state_->waiting.push_back(std::move(bytes));
  state_->start();
}

bool FileWriter::idle() const noexcept {
  return !state_->busy && state_->waiting.empty();
}
void FileWriter::when_idle(UniqueFunction<void()> callback) {
  state_->on_idle = std::move(callback);
  state_->tell_idle();
}
const std::optional<Error>& FileWriter::error() const noexcept {
  return state_->error;
}
std::uint64_t FileWriter::written() const noexcept {
  return state_->written;
}
FileDigests& FileWriter::digests() noexcept {
  return state_->digests;
}

}  // namespace v0
}  // namespace cleave
