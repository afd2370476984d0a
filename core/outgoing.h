// SPDX-License-Identifier: MIT
#pragma once
// Internal: a message on its way out, a server's reply or a client's request.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/core/link.h"
#include "cleave/core/reply.h"

namespace cleave {
inline namespace v0 {

// Lends the framework a Source's waker.
class SourceBinding {
 public:
  static void bind(Source& source, UniqueFunction<void()> waker) {
    source.waker_ = std::move(waker);
  }
};

struct OutgoingLimits {
  std::uint64_t frame_bytes;      // a frame of a message with an id is not longer
  std::uint64_t collected_bytes;  // a source of unknown size, without an id, is gathered up to this
};

// Cuts a message into frames and appends them to a Link, one at a time and only while there is
// room. Kept by shared pointers, as a source that is asked may end its own connection. Messages
// with an id may alternate frame by frame; one without an id is a single frame, and while that is
// open nobody else may write.
class Outgoing {
 public:
  enum class Kind : std::uint8_t { request, reply };
  enum class Step : std::uint8_t {
    sent,      // something was appended, and there is more
    waiting,   // the source has nothing; the waker will tell
    finished,  // all is appended
    failed,    // a request cannot go on; what was sent of it must be called off. See error()
    broken,    // the open frame cannot be completed
  };

  Outgoing(Kind kind, std::optional<std::uint64_t> id, std::string cmd, Reply message,
           const OutgoingLimits& limits);
  ~Outgoing();
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // Called whenever a source has more after Step::waiting.
  void on_wake(UniqueFunction<void()> waker);
  // Appends at most one frame, or one piece of the open frame.
  [[nodiscard]] Step advance(Link& link);

  // The first head was appended.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  // A single frame was begun, and its body is not complete.
  [[nodiscard]] bool frame_open() const noexcept { return open_bytes_ > 0; }
  // The message is to end early. True if its source will end it by itself; false if the next
  // advance() ends it: with the reason's error, or as broken where that cannot be said any more.
  [[nodiscard]] bool cancel(CancelReason reason);
  // The next advance() ends the message with `error`.
  void end_with(Error error);
  // The body bytes that were appended.
  [[nodiscard]] std::uint64_t body_bytes() const noexcept { return body_bytes_; }
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return message_.error; }

 private:
  Step advance_body(Link& link);
  Step advance_buffer(Link& link);
  Step advance_file(Link& link);
  Step advance_single(Link& link);
  Step advance_collecting(Link& link);
  Step advance_frames(Link& link);
  [[nodiscard]] Step append(Link& link, std::uint64_t data_size, bool last,
                            const Members& more_members);
  void unbind();

  Kind kind_;
  std::optional<std::uint64_t> id_;
  std::string cmd_;
  Reply message_;
  OutgoingLimits limits_;
  bool begun_ = false;  // the first head was appended
  bool ended_early_ = false;
  std::uint64_t open_bytes_ = 0;  // of the open single frame, still to come
  std::uint64_t body_bytes_ = 0;
  std::optional<Source::Pulled> ahead_;  // pulled, not yet sent
  std::string collected_;
};

}  // namespace v0
}  // namespace cleave
