// SPDX-License-Identifier: MIT
#include "cleave/testing/memory_stream.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace cleave::testing {

struct MemoryPeer::State : std::enable_shared_from_this<MemoryPeer::State> {
  Loop* loop = nullptr;
  std::string address;
  Stream::Events* events = nullptr;  // null once the stream is gone
  Stream::Interest interest;
  std::deque<std::string> pieces;
  std::string received;
  std::size_t room = std::numeric_limits<std::size_t>::max();
  std::size_t write_size = std::numeric_limits<std::size_t>::max();
  std::size_t writes = 0;
  bool end = false;
  bool gone = false;
  bool shut = false;
  bool closed = false;
  bool reset_on_close = false;
  bool posted = false;
  bool hangup_told = false;
  bool files_cold = false;

  [[nodiscard]] bool readable() const { return gone || end || !pieces.empty(); }
  [[nodiscard]] bool writable() const { return gone || room > 0; }

  // Level-triggered: as long as what is asked for is there, once a turn.
  void schedule() {
    if (posted || closed || !due()) return;
    posted = true;
    loop->post([self = shared_from_this()] {
      self->posted = false;
      self->tell();
    });
  }
  [[nodiscard]] bool due() const {
    return (interest.read && readable()) || (interest.write && writable()) ||
           (interest.hangup && end && !hangup_told) || (gone && !interest.read && !interest.write);
  }
  void tell() {
    if (closed || events == nullptr) return;
    const bool read = interest.read && readable();
    const bool write = interest.write && writable();
    if (read || write) {
      events->on_ready(read, write);
    } else if (gone) {
      events->on_hangup(true);
    } else if (interest.hangup && end && !std::exchange(hangup_told, true)) {
      events->on_hangup(false);
    }
    schedule();
  }
};

// ---- MemoryPeer ---------------------------------------------------------------------------------

void MemoryPeer::send(std::string_view piece) {
  if (piece.empty()) return;
  state_->pieces.emplace_back(piece);
  state_->schedule();
}

void MemoryPeer::send_in_pieces(std::string_view bytes, std::size_t size) {
  for (std::size_t at = 0; at < bytes.size(); at += size) send(bytes.substr(at, size));
}

void MemoryPeer::send_end() {
  state_->end = true;
  state_->schedule();
}

void MemoryPeer::reset() {
  state_->gone = true;
  state_->pieces.clear();
  state_->schedule();
}

void MemoryPeer::set_room(std::size_t bytes) {
  state_->room = bytes;
  state_->schedule();
}

void MemoryPeer::set_write_size(std::size_t bytes) {
  state_->write_size = bytes;
}

void MemoryPeer::set_files_cold(bool cold) {
  state_->files_cold = cold;
}

const std::string& MemoryPeer::received() const noexcept {
  return state_->received;
}
std::string MemoryPeer::take_received() {
  return std::exchange(state_->received, {});
}
bool MemoryPeer::ended() const noexcept {
  return state_->shut || state_->closed;
}
bool MemoryPeer::closed() const noexcept {
  return state_->closed;
}
bool MemoryPeer::was_reset() const noexcept {
  return state_->closed && state_->reset_on_close;
}
std::size_t MemoryPeer::writes() const noexcept {
  return state_->writes;
}

std::size_t MemoryPeer::unread() const noexcept {
  std::size_t sum = 0;
  for (const std::string& piece : state_->pieces) sum += piece.size();
  return sum;
}

// ---- MemoryStream -------------------------------------------------------------------------------

MemoryStream::Pair MemoryStream::make(Loop& loop, std::string address) {
  auto state = std::make_shared<MemoryPeer::State>();
  state->loop = &loop;
  state->address = std::move(address);
  return {std::unique_ptr<Stream>(new MemoryStream(state)), MemoryPeer(state)};
}

MemoryStream::~MemoryStream() {
  state_->closed = true;
  state_->events = nullptr;
}

void MemoryStream::set_events(Events* events) {
  state_->events = events;
}

void MemoryStream::watch(Interest interest) {
  state_->interest = interest;
  state_->schedule();
}

Stream::Moved MemoryStream::read(std::span<char> into) {
  if (state_->gone) return {Outcome::gone, 0};
  if (state_->pieces.empty()) return {state_->end ? Outcome::end : Outcome::would_block, 0};
  std::string& piece = state_->pieces.front();
  const std::size_t count = std::min(piece.size(), into.size());
  std::copy_n(piece.data(), count, into.data());
  piece.erase(0, count);
  if (piece.empty()) state_->pieces.pop_front();
  return {Outcome::done, count};
}

bool MemoryStream::at_end() {
  return !state_->gone && state_->pieces.empty() && state_->end;
}

Stream::Moved MemoryStream::write(std::span<const std::string_view> pieces) {
  if (state_->gone) return {Outcome::gone, 0};
  if (state_->room == 0) return {Outcome::would_block, 0};
  ++state_->writes;
  std::size_t budget = std::min(state_->room, state_->write_size);
  std::size_t moved = 0;
  for (const std::string_view piece : pieces) {
    const std::size_t count = std::min(piece.size(), budget);
    state_->received.append(piece.substr(0, count));
    budget -= count;
    moved += count;
  }
  if (state_->room != std::numeric_limits<std::size_t>::max()) state_->room -= moved;
  return {Outcome::done, moved};
}

Stream::Moved MemoryStream::send_file(int fd, std::uint64_t offset, std::size_t length) {
  std::string bytes(length, '\0');
  const ssize_t count = ::pread(fd, bytes.data(), length, static_cast<off_t>(offset));
  if (count <= 0) return {Outcome::bad_file, 0};
  const std::string_view piece(bytes.data(), static_cast<std::size_t>(count));
  return write({&piece, 1});
}

bool MemoryStream::file_is_cached(int /*fd*/, std::uint64_t /*offset*/, std::size_t /*length*/) {
  return !state_->files_cold;
}

void MemoryStream::shutdown_write() {
  state_->shut = true;
}
void MemoryStream::reset_on_close() {
  state_->reset_on_close = true;
}
Peer MemoryStream::peer() const {
  return {state_->address};
}

}  // namespace cleave::testing
