// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class Block;  // core/block.h: the counted memory behind a Buffer
class Link;   // core/link.h: the connection that a Chunk came by

// Bytes that somebody owns: move-only, contiguous, read-only.
//
// Bytes that came from a peer count, by the capacity of the memory that they keep alive, against
// the window of the connection they came from, until the Buffer is destroyed. When a connection's
// window is full nothing more is read from it, and at half it is read again. That is all of
// Cleave's back-pressure: move a Buffer to whoever is slow, and the sender is slowed down.
//
// Used and destroyed on the loop's thread (a worker may read the bytes of a Buffer that the loop
// keeps alive). May outlive its connection and its server, not its loop. One that was moved from
// can be destroyed or assigned to; any other use of it is a bug, which an assert finds.
class CLEAVE_API Buffer {
 public:
  Buffer() noexcept;  // an empty one
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;
  ~Buffer();

  // A buffer of one's own bytes; counts against no window. The loop is not needed for it.
  [[nodiscard]] static Buffer own(std::string bytes);
  [[nodiscard]] static Buffer copy_of(std::string_view bytes) { return own(std::string(bytes)); }

  // Valid until the buffer is destroyed or moved from, or its front is taken off.
  [[nodiscard]] std::string_view bytes() const noexcept { return {data_, size()}; }
  [[nodiscard]] std::size_t size() const noexcept {
    assert(data_ != &kMoved && "a Buffer was used after it was moved");
    return size_;
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  // The same bytes as a buffer of their own (the memory is shared, not copied).
  [[nodiscard]] Buffer share() const;
  // The first `size` bytes as a buffer of their own (the memory is shared, not copied); this one
  // keeps the rest. `size` is at most size().
  [[nodiscard]] Buffer take_front(std::size_t size);
  // Forgets the first `size` bytes; at most size().
  void drop_front(std::size_t size) noexcept;

 private:
  friend class Chunk;
  friend class Link;
  Buffer(Ref<Block> block, std::string_view bytes) noexcept;

  // Where the bytes of what was moved from are, so that the bug is found and nothing else happens.
  static const char kMoved;

  Ref<Block> block_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

// A piece of a body as it arrived: a view, valid during the call that brings it. Keep it, and it
// becomes a Buffer: small pieces are copied, a large one takes the memory it lies in away from the
// loop (which reads into other memory from then on), so that nothing is copied.
class CLEAVE_API Chunk {
 public:
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  // What is still to come of this frame's body after this piece. More frames may follow.
  [[nodiscard]] std::uint64_t remaining() const noexcept { return remaining_; }

  [[nodiscard]] Buffer keep() &&;

 private:
  friend class Link;
  Chunk(Link& link, std::string_view bytes, std::uint64_t remaining) noexcept
      : link_(&link), bytes_(bytes), remaining_(remaining) {}

  class Link* link_;
  std::string_view bytes_;
  std::uint64_t remaining_;
};

}  // namespace v0
}  // namespace cleave
