// SPDX-License-Identifier: MIT
#pragma once
// Internal: a message on its way out, a server's reply or a client's request.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/link.h"
#include "cleave/core/recycled.h"
#include "cleave/core/reply.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

// Lends the framework a Source's waker.
class SourceBinding {
 public:
  static void wake(Source& source) { source.wake(); }
  static void bind(Source& source, UniqueFunction<void()> waker) {
    source.waker_ = std::move(waker);
  }
};

struct OutgoingOptions {
  std::uint64_t frame_bytes;      // a frame of a message with an id is not longer
  std::uint64_t collected_bytes;  // a source of unknown size, without an id, is gathered up to this
  Wire wire = Wire::frame;        // what the head is written for
};

// Cuts a message into frames and appends them to a Link, one at a time and only while there is
// room. Counted, as a source that is asked may end its own connection. Messages with an id may
// alternate frame by frame; one without an id is a single frame, and while that is open nobody else
// may write. A reply on a bare wire is such a single frame with another head; on the wire `ready`
// its body waits behind the head until let_through().
class Outgoing final : public RefCounted<Outgoing>, public Recycled {
 public:
  enum class Kind : std::uint8_t { request, reply };
  enum class Step : std::uint8_t {
    sent,      // something was appended, and there is more
    waiting,   // the source has nothing; the waker will tell
    finished,  // all is appended
    failed,    // a request cannot go on, and what was sent of it must be called off; or a reply's
               // error, of which nothing was sent, cannot be said on its wire. See error()
    broken,    // the open frame cannot be completed
  };

  Outgoing(Kind kind, std::optional<std::uint64_t> id, std::string&& cmd, Reply&& message,
           const OutgoingOptions& options);
  ~Outgoing();

  // Called whenever a source has more after Step::waiting.
  void on_wake(UniqueFunction<void()> waker);
  // Appends at most one frame, or one piece of the open frame.
  [[nodiscard]] Step advance(Link& link);

  // The first head was appended.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  // Step::waiting for the client's word, on the wire `ready`; after it the body follows.
  [[nodiscard]] bool held_back() const noexcept { return held_back_; }
  void let_through() noexcept;

  // A single frame was begun, and its body is not complete.
  [[nodiscard]] bool frame_open() const noexcept { return open_bytes_ > 0; }
  // The message is to end early. True if its source will end it by itself; false if the next
  // advance() ends it: with the reason's error, or as broken where that cannot be said any more.
  [[nodiscard]] bool cancel(CancelReason reason);
  // The next advance() ends the message with `error`.
  void end_with(Error error);
  // The body bytes that were appended.
  [[nodiscard]] std::uint64_t body_bytes() const noexcept { return body_bytes_; }
  // The memory of its members.
  [[nodiscard]] std::size_t members_bytes() const noexcept {
    return message_.members.text().size();
  }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return message_.error; }

 private:
  Step advance_body(Link& link);
  Step advance_buffer(Link& link);
  Step advance_file(Link& link);
  Step advance_single(Link& link);
  Step advance_collecting(Link& link);
  Step advance_frames(Link& link);
  [[nodiscard]] Step append(Link& link, std::uint64_t data_size, bool last,
                            std::string_view more_members = {});
  [[nodiscard]] Step append_bare(Link& link, std::uint64_t size, std::string_view more_members);
  void unbind();

  Kind kind_;
  std::optional<std::uint64_t> id_;
  std::string cmd_;
  Reply message_;
  OutgoingOptions options_;
  bool held_back_ = false;
  bool begun_ = false;  // the first head was appended
  bool ended_early_ = false;
  std::uint64_t announced_ = 0;   // bytes of a body whose head has left and that is held back
  std::uint64_t open_bytes_ = 0;  // of the open single frame, still to come
  std::uint64_t body_bytes_ = 0;
  std::optional<Source::Pulled> ahead_;  // pulled, not yet sent
  struct Collected {
    std::string bytes;
    Held held;
  };
  std::unique_ptr<Collected> collected_;
};

}  // namespace v0
}  // namespace cleave
