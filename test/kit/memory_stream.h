// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "cleave/core/loop.h"
#include "cleave/core/stream.h"
#include "cleave/protocol/api.h"

namespace cleave::testing {

// The far end of a MemoryStream: plays the network and the peer. Outlives the stream or not, as a
// test likes.
class CLEAVE_API MemoryPeer {
 public:
  // What the stream's next read gives: one piece a read, however much it could take.
  void send(std::string_view piece);
  // `bytes` in pieces of `size` bytes.
  void send_in_pieces(std::string_view bytes, std::size_t size);
  // End of input behind what was sent.
  void send_end();
  // A reset: reads and writes fail from now on, what was not read is lost.
  void reset();

  // How many more bytes may be written before writes would block; unlimited at first.
  void set_room(std::size_t bytes);
  // What a single write takes at most; unlimited at first.
  void set_write_size(std::size_t bytes);

  // Files are on a disk, and not in memory: whoever sends one has to fetch it first, in the lane
  // for disks.
  void set_files_cold(bool cold);

  // What was written so far, without what was taken before.
  [[nodiscard]] const std::string& received() const noexcept;
  [[nodiscard]] std::string take_received();
  // The write side was shut: an end of input behind what was received.
  [[nodiscard]] bool ended() const noexcept;
  // The stream was destroyed.
  [[nodiscard]] bool closed() const noexcept;
  // The stream was destroyed with a reset.
  [[nodiscard]] bool was_reset() const noexcept;
  // Bytes sent that were not read yet, and write calls so far.
  [[nodiscard]] std::size_t unread() const noexcept;
  [[nodiscard]] std::size_t writes() const noexcept;

 private:
  friend class MemoryStream;
  struct State;
  explicit MemoryPeer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// A Stream that is memory: no descriptor, no port, no time. Readiness is told in turns of the loop,
// as a socket's is.
class CLEAVE_API MemoryStream final : public Stream {
 public:
  struct Pair {
    std::unique_ptr<Stream> stream;
    MemoryPeer peer;
  };
  [[nodiscard]] static Pair make(Loop& loop, std::string address = "memory");
  ~MemoryStream() override;

  void set_events(Events* events) override;
  void watch(Interest interest) override;
  [[nodiscard]] Moved read(std::span<char> into) override;
  [[nodiscard]] bool at_end() override;
  [[nodiscard]] Moved write(std::span<const std::string_view> pieces) override;
  [[nodiscard]] Moved send_file(int fd, std::uint64_t offset, std::size_t length) override;
  [[nodiscard]] bool file_is_cached(int fd, std::uint64_t offset, std::size_t length) override;
  void shutdown_write() override;
  void reset_on_close() override;
  void give_up_after(Millis /*silence*/) override {}
  [[nodiscard]] Peer peer() const override;

 private:
  explicit MemoryStream(std::shared_ptr<MemoryPeer::State> state) : state_(std::move(state)) {}
  std::shared_ptr<MemoryPeer::State> state_;
};

}  // namespace cleave::testing
