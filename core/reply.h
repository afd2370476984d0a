// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "cleave/core/buffer.h"
#include "cleave/core/file.h"
#include "cleave/core/short_queue.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/ref.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Why a running request is to end before its time.
enum class CancelReason : std::uint8_t {
  deadline,   // its timeout_ms has passed
  cancelled,  // the peer sent `cancel`
  peer_gone,  // the connection is reset or closed: nobody will read a reply
  draining,   // the server stops and has waited long enough
};
// The code that a reply gets which a handler leaves to the framework.
[[nodiscard]] CLEAVE_API Errc to_errc(CancelReason reason) noexcept;
// One sentence for a person.
[[nodiscard]] CLEAVE_API Error to_error(CancelReason reason);

// A body that is made while it is sent. The framework pulls: it asks for a piece when there is
// room for one, so a slow reader slows the source down and nothing piles up. A source that has
// nothing yet says Later, and calls wake() when it has.
class CLEAVE_API Source {
 public:
  // Bytes to send now. With an `id` each piece becomes a frame, which carries `members`; without
  // one, pieces run together in a single frame and their members are dropped.
  struct Piece {
    Buffer bytes;
    Members members = {};
  };
  struct Later {};
  // The end. `members` go into the reply's last frame. An error ends the reply with it where it has
  // an `id`; a single frame that was begun cannot be completed, so the connection is reset.
  struct Done {
    Members members = {};
    std::optional<Error> error = {};
  };
  using Pulled = std::variant<Piece, Later, Done>;

  virtual ~Source() = default;
  // A piece of at most `room` bytes (at least 1), and never an empty one. Called on the loop's
  // thread, never from inside wake(). What it throws ends the reply with `internal`.
  virtual Pulled pull(std::size_t room) = 0;
  // All the bytes that will come, where that is known beforehand. A reply without an `id` needs it
  // for its single frame; where it is not known such a reply is collected first, within the limit
  // `collected_reply_bytes`.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
  // The request was cancelled while this source was being sent. True: it will end by itself soon,
  // with members of its own (within `cancel_grace_ms`); false: it is dropped, and the reply ends
  // with the reason's code.
  virtual bool cancel(CancelReason /*reason*/) { return false; }

 protected:
  // There is something to pull again. Cheap, and allowed at any time.
  void wake();

 private:
  friend class SourceBinding;
  UniqueFunction<void()> waker_;
};

// A Source that is fed with Buffers, for handlers and proxies that pass bodies on as they come.
// What is waiting in it counts against the window it came from, so it needs no limit of its own.
class CLEAVE_API Relay final : public Source {
 public:
  // `size`: all the bytes that will be pushed, if that is known.
  explicit Relay(std::optional<std::uint64_t> size = std::nullopt) : size_(size) {}

  void push(Buffer bytes, Members members = {});
  // No more bytes will come.
  void finish(Members members = {}, std::optional<Error> error = std::nullopt);
  // Called, at most once, if the reply is given up before finish().
  void on_cancel(UniqueFunction<void(CancelReason)> callback) { on_cancel_ = std::move(callback); }

  Pulled pull(std::size_t room) override;
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }
  bool cancel(CancelReason reason) override;

 private:
  ShortQueue<Piece> pieces_;
  std::optional<Done> end_;
  std::optional<std::uint64_t> size_;
  UniqueFunction<void(CancelReason)> on_cancel_;
};

// A range of a file, sent by the kernel without passing through the process where the system can.
// The range must exist: a file that shrinks while it is sent ends the reply as broken.
struct FileRange {
  SharedFd file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// What a reply's body can be.
using Body = std::variant<std::monostate, Buffer, FileRange, std::shared_ptr<Source>>;

// A whole answer: results as members, a body, or an error (which may carry both as well).
struct Reply {
  Members members = {};
  Body body = {};
  std::optional<Error> error = {};

  [[nodiscard]] static Reply text(std::string bytes) {
    return Reply{{}, Buffer::own(std::move(bytes)), {}};
  }
  [[nodiscard]] static Reply failure(Error error) { return Reply{{}, {}, std::move(error)}; }
};

// The right, and the duty, to answer one request: move-only, and consumed by answering, so that a
// second answer does not compile (and clang-tidy sees the use after the move). A token that is
// destroyed unused answers by itself: `internal: the handler gave no reply`, or the reason's code
// after a cancel. After the peer has gone, or the framework has answered in the handler's stead, it
// does nothing. Used and destroyed on the loop's thread; may outlive the connection and the server.
class CLEAVE_API ReplyToken {
 public:
  ReplyToken(ReplyToken&&) noexcept;
  ReplyToken& operator=(ReplyToken&&) noexcept;
  ~ReplyToken();

  void send(Reply reply) &&;
  void ok(Members members = {}, Body body = {}) && {
    std::move(*this).send(Reply{std::move(members), std::move(body), {}});
  }
  void fail(Error error) && { std::move(*this).send(Reply::failure(std::move(error))); }

  // False once an answer can no longer reach anybody.
  [[nodiscard]] bool wanted() const noexcept;
  // Says how many bytes the handler holds in memory for this request by now, beside the Buffers of
  // its input, which count by themselves. They count, until the answer, like all that the server
  // holds for its peers (Limits::memory_bytes). `overloaded` when it can hold no more: answer with
  // it, or do with less.
  [[nodiscard]] Result<void> holds(std::uint64_t bytes);
  // For tokens kept by a callback: called at most once, if the request is cancelled before it is
  // answered; the token may be used in it, or later. (A Handler object has its own on_cancel.)
  // Dropped when the token answers.
  void on_cancel(UniqueFunction<void(CancelReason)> callback);

 private:
  friend class Exchange;
  explicit ReplyToken(Ref<class Exchange> exchange) noexcept;

  Ref<Exchange> exchange_;
};

}  // namespace v0
}  // namespace cleave
