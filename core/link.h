// SPDX-License-Identifier: MIT
#pragma once
// Internal: the byte side of a connection, the same for servers and clients.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cleave/core/account.h"
#include "cleave/core/buffer.h"
#include "cleave/core/loop.h"
#include "cleave/core/loop_internals.h"
#include "cleave/core/loop_shared.h"
#include "cleave/core/reply.h"
#include "cleave/core/stream.h"
#include "cleave/protocol/encoder.h"
#include "cleave/protocol/ref.h"
#include "cleave/protocol/wire.h"

namespace cleave {
inline namespace v0 {

// Who decodes what a Link reads and fills what it writes. Counted, as a call may be the one that
// ends it.
class LinkOwner : public RefCounted<LinkOwner> {
 public:
  virtual ~LinkOwner() = default;

  // Whether the next piece of input may be looked at.
  [[nodiscard]] virtual bool wants_input() = 0;
  // Whether it waits for input that frees memory: then it is read although memory is short.
  [[nodiscard]] virtual bool needs_input() { return false; }
  // Consumes from the front of `input`; false when it needs bytes that have not come.
  virtual bool on_input(std::string_view& input) = 0;
  // The peer will send no more; all that it sent was consumed.
  virtual void on_input_end() = 0;
  // While its input is not read, the peer's end of input has come to light.
  virtual void on_hangup() = 0;
  // The peer has reset the connection or a write failed; or what was announced cannot be sent.
  enum class Gone : std::uint8_t { peer, ours };
  virtual void on_gone(Gone why, std::string_view detail) = 0;
  // There is room for output: fill it. Called at the end of every turn in which anything happened,
  // and between two reads of one.
  virtual void on_output_room() = 0;
  // After shutdown_write(): all output has been taken by the system, and the write side has ended.
  virtual void on_shut() = 0;
  // Reading stops because the peer's bytes are held elsewhere, or it does not take ours.
  virtual void on_pause(bool /*paused*/) {}
};

// The same for all connections of a server, or for a client.
struct LinkOptions {
  std::uint64_t window_bytes;
  std::uint64_t output_bytes;
  std::uint32_t header_bytes;
  // A client's: its peer may wait for us to read before it takes more, and what is read makes no
  // output.
  bool reads_when_full = false;
  // What it holds counts against this; null: a client's.
  Budget* budget = nullptr;
};

// Reads a stream into the loop's memory, hands the bytes to its owner piece by piece, and gathers
// the owner's output into as few writes as the system allows:
//
//     stream ──read──▶ slab ──▶ owner.on_input ──▶ … ──▶ append*() ──▶ batch ──one write──▶ stream
//                        │                                               │ what is left over
//                        ▼ Chunk::keep()                                 ▼
//                     Buffer (counts against the window)              pending
//
// What the owner does not want yet is held (at most one slab), and while anything is held, the
// window is full, or more than `output_bytes` wait to be written, nothing is read (a client reads
// while its output waits).
//
// What it holds, and what its owner says that it holds for this peer, counts in its account, and so
// in the budget of the server.
class Link final : private Stream::Events, private Account::Owner, private Deferred {
 public:
  // `options` outlive it.
  Link(Loop& loop, std::unique_ptr<Stream> stream, LinkOwner& owner, const LinkOptions& options);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Begins to read; the owner must be ready to be called (later, not from inside).
  void start();

  // The piece of the input that is being handed over, as a Chunk.
  [[nodiscard]] Chunk chunk(std::string_view bytes, std::uint64_t remaining) noexcept {
    return Chunk(*this, bytes, remaining);
  }
  // Chunk::keep().
  [[nodiscard]] Buffer keep(std::string_view bytes);

  // What its peer's memory counts against; outlives it.
  [[nodiscard]] const Ref<Account>& account();
  // The bytes that are held for its peer now.
  [[nodiscard]] std::uint64_t held_bytes() const noexcept {
    return account_ ? account_->held() : 0;
  }
  // See Budget::refusal().
  [[nodiscard]] std::optional<Error> over_budget() const {
    return options_.budget != nullptr ? options_.budget->refusal() : std::nullopt;
  }
  // Counts the memory of a buffer, unless it counts already.
  void count(const Buffer& bytes, Account::Use use = Account::Use::reply);
  // Gives back what an idle connection does not need.
  void shrink() noexcept;

  // Output, in order. What is appended in a call to the owner is written after that call, at the
  // latest at the end of the turn. `append_head` fails with too_large, and has then appended
  // nothing.
  [[nodiscard]] Result<void> append_head(const OutgoingHead& head);
  // What stands in front of a reply on a bare wire; see append_bare_head in protocol/wire.h.
  [[nodiscard]] Result<void> append_bare_head(Wire wire, std::uint64_t size,
                                              std::string_view members);
  void append(std::string_view bytes);
  void append(Buffer bytes);
  void append(FileRange range);
  // Bytes that wait to be written, those of files included.
  [[nodiscard]] std::uint64_t queued() const noexcept;
  // What waits to be written waits for a disk, and not for the peer.
  [[nodiscard]] bool waits_for_disk() const noexcept { return pending_ && pending_->fetching; }
  // How much more may be appended before `output_bytes` wait.
  [[nodiscard]] std::uint64_t room() const noexcept;

  // Something has changed that the owner decides by: look at the input and the output again, at the
  // end of this turn or of the call from the loop that is running.
  void touch();

  // touch(), but not before the next turn.
  void touch_again();

  // Ends the write side behind what is queued, and from then on reads only to drop.
  void shutdown_write();
  // Closes at once; no call to the owner comes after it. With `reset` the peer is told that what
  // it got is not all.
  void close(bool reset);
  [[nodiscard]] bool closed() const noexcept { return stream_ == nullptr; }

  [[nodiscard]] bool input_ended() const noexcept { return input_ended_; }
  [[nodiscard]] std::uint64_t bytes_in() const noexcept { return bytes_in_; }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept { return bytes_out_; }
  // When bytes were last read, and when the system last took some of ours.
  [[nodiscard]] Time last_read() const noexcept { return last_read_; }
  [[nodiscard]] Time last_write() const noexcept { return last_write_; }
  // Whether the peer's bytes are being waited for, and since when.
  [[nodiscard]] bool reading() const noexcept { return reading_now_; }
  [[nodiscard]] Time reading_since() const noexcept { return reading_since_; }
  // The peer's end of input has come, and nothing in front of it is unread.
  [[nodiscard]] bool input_exhausted() const {
    return input_ended_ || (held_.empty() && stream_ && stream_->at_end());
  }
  // Bytes that were read and not looked at yet.
  [[nodiscard]] bool holds_input() const noexcept { return !held_.empty(); }
  // Its options have changed.
  void options_changed();
  // Whom it is connected to, as long as it is.
  [[nodiscard]] Peer peer() const { return stream_->peer(); }

 private:
  // Output that the system would not take at once.
  using Segment = std::variant<std::string, Buffer, FileRange>;
  struct Pending {
    std::deque<Segment> segments;
    std::size_t front_done = 0;  // bytes of a leading string that are written already
    std::uint64_t bytes = 0;
    Held text{Account::Use::reply};  // the strings among the segments
    // Of a file in front: the pool fetches it from the disk, and has done so up to there.
    bool fetching = false;
    std::uint64_t fetched_to = 0;
  };
  // Gathers output into the loop's batch while it lives, and runs the end of the turn after it.
  class Cork;

  void on_ready(bool readable, bool writable) override;
  void on_hangup(bool gone) override;
  void on_account_open() override { touch(); }
  void run_deferred() override;

  void read_some();
  void decode_held();
  void decode(std::string_view& input);
  [[nodiscard]] bool may_decode();
  [[nodiscard]] bool may_read();
  void hold_input(Buffer rest);
  void end_turn();
  void write_batch();
  void write_pending();
  bool write_file(Pending& pending);
  void fetch(Pending& pending, const FileRange& range);
  void queue(Segment segment, std::uint64_t bytes);
  void queue_batch(std::size_t written);
  void gone(std::string_view detail, LinkOwner::Gone why = LinkOwner::Gone::peer);
  void update_interest();

  Loop& loop_;
  LoopShared& shared_;
  std::unique_ptr<Stream> stream_;
  LinkOwner& owner_;
  const LinkOptions& options_;
  Ref<Account> account_;  // made when there is something to count
  Ref<Block> reading_;    // the slab whose bytes are being handed over
  Buffer held_;           // input that the owner did not want yet
  std::unique_ptr<Pending> pending_;
  OutputBatch* batch_ = nullptr;  // while corked
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  Time last_read_;
  Time last_write_;
  Time reading_since_;
  bool reading_now_ = false;
  bool blocked_ = false;  // the stream took less than it was offered
  bool input_ended_ = false;
  bool end_told_ = false;
  bool hangup_told_ = false;
  bool paused_ = false;
  bool shutting_ = false;  // the write side ends when what is queued has left
  bool shut_ = false;
};

}  // namespace v0
}  // namespace cleave
