// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "cleave/core/request.h"
#include "cleave/protocol/api.h"

namespace cleave {
inline namespace v0 {

// A duplex stream of bytes that never blocks and is asked, not told: a connection reads when it
// has room and writes what it has, and the stream says when trying again makes sense. TCP is one,
// the test kit's in-memory stream another.
class Stream {
 public:
  enum class Outcome : std::uint8_t {
    done,         // `bytes` were moved (fewer than asked for is normal)
    would_block,  // nothing now; watch() for it
    end,          // reading: the peer will send no more
    gone,         // the connection is reset or broken
    bad_file,     // sending a file: it is shorter than was said, or cannot be read
  };
  struct Moved {
    Outcome outcome = Outcome::done;
    std::size_t bytes = 0;
  };

  // What watch() asks for.
  struct Interest {
    bool read = false;
    bool write = false;
    // While not reading: still tell the peer's end of input, once.
    bool hangup = false;
    bool operator==(const Interest&) const = default;
  };
  // What happened. The stream may be destroyed from inside either call.
  class Events {
   public:
    virtual void on_ready(bool readable, bool writable) = 0;
    // While not reading: the peer's end of input has arrived (`gone` false), or a reset.
    virtual void on_hangup(bool gone) = 0;

   protected:
    ~Events() = default;
  };

  virtual ~Stream() = default;
  // Must be called before watch(); `events` outlives the stream or the stream is destroyed first.
  virtual void set_events(Events* events) = 0;
  virtual void watch(Interest interest) = 0;

  [[nodiscard]] virtual Moved read(std::span<char> into) = 0;
  // Whether a read would give the end of input now.
  [[nodiscard]] virtual bool at_end() = 0;
  // Gathers the pieces in order, as far as the system takes them in one call.
  [[nodiscard]] virtual Moved write(std::span<const std::string_view> pieces) = 0;
  // Sends `length` bytes (at least 1) of a file from `offset`.
  [[nodiscard]] virtual Moved send_file(int fd, std::uint64_t offset, std::size_t length) = 0;
  // Whether send_file() of that piece would not have to wait for a disk.
  [[nodiscard]] virtual bool file_is_cached(int fd, std::uint64_t offset, std::size_t length) = 0;
  // No more will be written: the peer sees an end of input behind what was written.
  virtual void shutdown_write() = 0;
  // The destructor then resets the connection instead of closing it: the peer sees that what it
  // got is not all.
  virtual void reset_on_close() = 0;

  // A peer that acknowledges nothing of what was written for so long is given up: later reads and
  // writes find it gone.
  virtual void give_up_after(Millis silence) = 0;

  [[nodiscard]] virtual Peer peer() const = 0;
};

}  // namespace v0
}  // namespace cleave
