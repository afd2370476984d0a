// SPDX-License-Identifier: MIT
#include "cleave/core/link.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "cleave/core/file_cache.h"

namespace cleave {
inline namespace v0 {
namespace {

// What one turn reads from one connection at the most, so that an upload does not starve others.
constexpr std::size_t kReadBudget = 2 * BlockPool::kSlabBytes;
// And what it decodes: a slab can hold fifteen thousand tiny requests, which would keep the others
// waiting. A request is one or two events; to look around after so many costs next to nothing.
constexpr int kTurnEvents = 2'048;
// Output larger than this leaves in the middle of a turn, so that the batch stays small.
constexpr std::size_t kBatchBytes = 256 * 1024;
// Smaller buffers are copied into the batch: cheaper than a piece of their own in the write.
constexpr std::size_t kCopyOutBytes = 4 * 1024;
// The pieces of one write: well below IOV_MAX, and more gain nothing.
constexpr std::size_t kPieces = 64;
// One slice of a file per turn: more makes others wait (measured: an echo's p99 beside a download
// grows from 0.4 ms to 1.3 ms at 1 MiB).
constexpr std::size_t kFileSlice = 256 * 1024;
// What the pool fetches of a file at a time: enough for a disk to be fast.
constexpr std::uint64_t kFetchBytes = 4 * 1024 * 1024;
// A window that a slab alone fills to half would never open while the rest of that slab waits.
constexpr std::uint64_t kSmallestWindow = 4 * BlockPool::kSlabBytes;

std::uint64_t window_of(const LinkOptions& options) {
  return std::max(options.window_bytes, kSmallestWindow);
}

}  // namespace

class Link::Cork {
 public:
  explicit Cork(Link& link) : guard_(&link.owner_), link_(link) {
    OutputBatch& batch = link.shared_.batch;
    if (batch.in_use) return;
    batch.in_use = true;
    link.batch_ = &batch;
  }
  ~Cork() {
    if (link_.batch_ != nullptr) {
      assert(link_.closed() || link_.batch_->empty());
      link_.batch_->clear();
      std::exchange(link_.batch_, nullptr)->in_use = false;
    }
  }
  Cork(const Cork&) = delete;
  Cork& operator=(const Cork&) = delete;

 private:
  Ref<LinkOwner> guard_;
  Link& link_;
};

Link::Link(Loop& loop, std::unique_ptr<Stream> stream, LinkOwner& owner, const LinkOptions& options)
    : Deferred(loop),
      loop_(loop),
      shared_(LoopInternals::get<LoopShared>(loop)),
      stream_(std::move(stream)),
      owner_(owner),
      options_(options),
      last_read_(loop.now()),
      last_write_(loop.now()) {
  stream_->set_events(this);
}

Link::~Link() {
  close(false);
}

void Link::start() {
  update_interest();
}

const Ref<Account>& Link::account() {
  if (!account_) {
    Account::Owner& self = *this;
    account_ = make_ref<Account>(self, window_of(options_), Ref<Budget>(options_.budget));
    if (closed()) account_->detach();
  }
  return account_;
}

void Link::count(const Buffer& bytes, Account::Use use) {
  if (!bytes.empty()) bytes.block_->charge(account(), use);
}

void Link::shrink() noexcept {
  if (!account_ || account_->held() > 0) return;
  account_->detach();
  account_ = {};
}

Buffer Link::keep(std::string_view bytes) {
  if (bytes.size() <= BlockPool::kCopyBytes) {
    Ref<Block> block = shared_.blocks.copy_of(bytes);
    block->charge(account(), Account::Use::window);
    const std::string_view copy(block->data(), bytes.size());
    return Buffer(std::move(block), copy);
  }
  reading_->charge(account(), Account::Use::window);
  return Buffer(reading_, bytes);
}

// ---- Reading ------------------------------------------------------------------------------------

void Link::on_ready(bool readable, bool writable) {
  Cork cork(*this);
  if (writable) {
    blocked_ = false;
    write_pending();
  }
  if (readable) read_some();
  end_turn();
}

void Link::on_hangup(bool gone_too) {
  Cork cork(*this);
  if (gone_too) return gone("the peer reset the connection");
  hangup_told_ = true;
  owner_.on_hangup();
  end_turn();
}

bool Link::may_decode() {
  return !closed() && (room() > 0 || options_.reads_when_full) && owner_.wants_input() &&
         (!account_ || !account_->closed() || owner_.needs_input());
}

bool Link::may_read() {
  return !input_ended_ && held_.empty() && may_decode();
}

void Link::read_some() {
  std::size_t budget = kReadBudget;
  while (budget > 0 && may_read()) {
    Ref<Block> slab = shared_.blocks.slab();
    const Stream::Moved moved = stream_->read({slab->data(), slab->capacity()});
    if (moved.outcome == Stream::Outcome::would_block) break;
    if (moved.outcome == Stream::Outcome::end) {
      input_ended_ = true;
      break;
    }
    if (moved.outcome != Stream::Outcome::done) return gone("the peer reset the connection");
    bytes_in_ += moved.bytes;
    last_read_ = loop_.now();
    std::string_view input(slab->data(), moved.bytes);
    reading_ = slab;
    decode(input);
    reading_ = {};
    if (closed()) return;
    if (!input.empty()) hold_input(Buffer(std::move(slab), input));
    budget -= std::min(budget, moved.bytes);
    if (moved.bytes < BlockPool::kSlabBytes) break;  // drained: asking again costs a system call
    // What was made of it leaves now, while it lies in the processor's cache and before it pins a
    // second slab.
    owner_.on_output_room();
    if (closed()) return;
    write_batch();
  }
}

void Link::decode_held() {
  if (closed()) return;
  const Buffer held = std::exchange(held_, {});
  std::string_view input = held.bytes();
  reading_ = held.block_;
  decode(input);
  reading_ = {};
  if (!closed() && !input.empty()) hold_input(Buffer(held.block_, input));
}

void Link::hold_input(Buffer rest) {
  if (rest.size() <= BlockPool::kCopyBytes && rest.block_->capacity() > BlockPool::kCopyBytes) {
    Ref<Block> copy = shared_.blocks.copy_of(rest.bytes());
    const std::string_view bytes(copy->data(), rest.size());
    rest = Buffer(std::move(copy), bytes);
  }
  held_ = std::move(rest);
  count(held_, Account::Use::rest);
}

void Link::decode(std::string_view& input) {
  for (int left = kTurnEvents; left > 0 && may_decode(); --left) {
    if (!owner_.on_input(input)) break;
    if (batch_ != nullptr && batch_->size() >= kBatchBytes) write_batch();
  }
}

void Link::run_deferred() {
  Cork cork(*this);
  decode_held();
  end_turn();
}

void Link::end_turn() {
  if (closed()) return;
  if (input_ended_ && held_.empty() && !std::exchange(end_told_, true)) {
    owner_.on_input_end();
    if (closed()) return;
  }
  owner_.on_output_room();
  if (closed()) return;
  const bool filled = room() == 0;
  write_batch();
  if (!closed() && !blocked_) write_pending();
  if (closed()) return;
  if (shutting_ && !shut_ && queued() == 0) {
    shut_ = true;
    stream_->shutdown_write();
    owner_.on_shut();
    if (closed()) return;
  }
  // There was more to send than room for it, or to decode than room for the answers: go on.
  if ((filled && room() > 0) || (!held_.empty() && may_decode())) arm();
  update_interest();
}

void Link::update_interest() {
  if (closed()) return;
  const bool read = may_read();
  stream_->watch({.read = read,
                  .write = pending_ != nullptr && !pending_->fetching,
                  .hangup = !read && !input_ended_ && !hangup_told_});
  const bool paused = !read && !input_ended_ && (room() == 0 || (account_ && account_->closed()));
  if (read && !reading_now_) reading_since_ = loop_.now();
  reading_now_ = read;
  if (paused != paused_) {
    paused_ = paused;
    owner_.on_pause(paused);
  }
}

void Link::options_changed() {
  if (account_) account_->set_window(window_of(options_));
  touch();
}

void Link::touch_again() {
  if (!closed()) arm();
}

void Link::touch() {
  if (!closed() && batch_ == nullptr) arm();
}

// ---- Writing ------------------------------------------------------------------------------------

std::uint64_t Link::queued() const noexcept {
  return (pending_ ? pending_->bytes : 0) + (batch_ != nullptr ? batch_->size() : 0);
}

std::uint64_t Link::room() const noexcept {
  const std::uint64_t waiting = queued();
  return waiting < options_.output_bytes ? options_.output_bytes - waiting : 0;
}

Result<void> Link::append_head(const OutgoingHead& head) {
  if (closed()) return {};
  if (batch_ != nullptr) return cleave::append_head(batch_->bytes, head, options_.header_bytes);
  std::string bytes;
  Result<void> appended = cleave::append_head(bytes, head, options_.header_bytes);
  if (appended) append(bytes);
  return appended;
}

Result<void> Link::append_bare_head(Wire wire, std::uint64_t size, std::string_view members) {
  std::string bytes;
  Result<void> appended =
      cleave::append_bare_head(bytes, wire, size, members, options_.header_bytes);
  if (appended) append(bytes);
  return appended;
}

void Link::append(std::string_view bytes) {
  if (closed() || bytes.empty()) return;
  if (batch_ != nullptr) {
    batch_->bytes.append(bytes);
  } else {
    queue(std::string(bytes), bytes.size());
    touch();
  }
}

void Link::append(Buffer bytes) {
  if (bytes.size() <= kCopyOutBytes) return append(bytes.bytes());
  if (closed()) return;
  if (batch_ != nullptr) {
    batch_->large_bytes += bytes.size();
    batch_->large.push_back({batch_->bytes.size(), std::move(bytes)});
  } else {
    const std::uint64_t size = bytes.size();
    queue(std::move(bytes), size);
    touch();
  }
}

void Link::append(FileRange range) {
  if (closed() || range.length == 0) return;
  if (batch_ != nullptr) queue_batch(0);
  const std::uint64_t length = range.length;
  queue(std::move(range), length);
  touch();
}

void Link::queue(Segment segment, std::uint64_t bytes) {
  if (!pending_) {
    pending_ = std::make_unique<Pending>();
    last_write_ = loop_.now();  // a stall is counted from here
  }
  pending_->bytes += bytes;
  if (auto* buffer = std::get_if<Buffer>(&segment); buffer != nullptr) count(*buffer);
  if (auto* text = std::get_if<std::string>(&segment); text != nullptr) {
    pending_->text.set(account(), pending_->text.bytes() + text->size());
    if (!pending_->segments.empty()) {
      // Not for ever: a segment is freed when all of it is written.
      auto* last = std::get_if<std::string>(&pending_->segments.back());
      if (last != nullptr && last->size() + text->size() <= kBatchBytes) {
        last->append(*text);
        return;
      }
    }
  }
  pending_->segments.push_back(std::move(segment));
}

// Moves what is left of the batch, behind its first `written` bytes, to the pending output.
void Link::queue_batch(std::size_t written) {
  std::string_view bytes = batch_->bytes;
  std::size_t at = 0;      // in batch_->bytes
  std::size_t before = 0;  // bytes of the batch in front of the current piece
  const auto take_bytes = [&](std::size_t to) {
    const std::size_t skip = std::min(to - at, written > before ? written - before : 0);
    if (at + skip < to) queue(std::string(bytes.substr(at + skip, to - at - skip)), to - at - skip);
    before += to - at;
    at = to;
  };
  for (OutputBatch::Large& large : batch_->large) {
    take_bytes(large.at);
    const std::size_t size = large.buffer.size();
    const std::size_t skip = std::min(size, written > before ? written - before : 0);
    before += size;
    if (skip == size) continue;
    large.buffer.drop_front(skip);
    queue(std::move(large.buffer), size - skip);
  }
  take_bytes(bytes.size());
  batch_->clear();
}

void Link::write_batch() {
  if (closed() || batch_ == nullptr || batch_->empty()) return;
  if (pending_) return queue_batch(0);
  std::array<std::string_view, kPieces> pieces;
  std::size_t count = 0;
  std::size_t total = 0;
  std::size_t at = 0;
  const auto add = [&](std::string_view piece) {
    if (piece.empty() || count == kPieces) return;
    pieces[count++] = piece;
    total += piece.size();
  };
  const std::string_view bytes = batch_->bytes;
  for (const OutputBatch::Large& large : batch_->large) {
    add(bytes.substr(at, large.at - at));
    at = large.at;
    if (count == kPieces) break;
    add(large.buffer.bytes());
  }
  add(bytes.substr(at));
  const Stream::Moved moved = stream_->write({pieces.data(), count});
  if (moved.outcome == Stream::Outcome::gone) return gone("a write failed");
  bytes_out_ += moved.bytes;
  last_write_ = loop_.now();
  if (moved.bytes == batch_->size()) return batch_->clear();
  blocked_ = moved.bytes < total;
  queue_batch(moved.bytes);
}

void Link::write_pending() {
  while (!closed() && pending_) {
    Pending& pending = *pending_;
    if (std::holds_alternative<FileRange>(pending.segments.front())) {
      if (!write_file(pending)) return;
    } else {
      std::array<std::string_view, kPieces> pieces;
      std::size_t count = 0;
      std::size_t total = 0;
      for (const Segment& segment : pending.segments) {
        if (count == kPieces || std::holds_alternative<FileRange>(segment)) break;
        const auto* text = std::get_if<std::string>(&segment);
        std::string_view piece = text ? *text : std::get<Buffer>(segment).bytes();
        if (count == 0) piece.remove_prefix(pending.front_done);
        pieces[count++] = piece;
        total += piece.size();
      }
      const Stream::Moved moved = stream_->write({pieces.data(), count});
      if (moved.outcome == Stream::Outcome::gone) return gone("a write failed");
      if (moved.bytes > 0) last_write_ = loop_.now();
      bytes_out_ += moved.bytes;
      pending.bytes -= moved.bytes;
      std::size_t left = moved.bytes;
      for (std::size_t i = 0; i < count && left >= pieces[i].size(); ++i) {
        left -= pieces[i].size();
        pending.front_done = 0;
        if (const auto* text = std::get_if<std::string>(&pending.segments.front())) {
          pending.text.set(account_, pending.text.bytes() - text->size());
        }
        pending.segments.pop_front();
      }
      if (left > 0) pending.front_done += left;
      blocked_ = moved.bytes < total;
      if (blocked_) return;
    }
    if (pending.segments.empty()) pending_.reset();
  }
}

// One slice of the file in front. False when it is somebody else's turn.
bool Link::write_file(Pending& pending) {
  if (pending.fetching) return false;
  FileRange& range = std::get<FileRange>(pending.segments.front());
  std::uint64_t slice = std::min<std::uint64_t>(range.length, kFileSlice);
  if (range.offset < pending.fetched_to) {
    slice = std::min(slice, pending.fetched_to - range.offset);
  } else if (!stream_->file_is_cached(range.file->get(), range.offset,
                                      static_cast<std::size_t>(slice))) {
    fetch(pending, range);
    return false;
  }
  const auto length = static_cast<std::size_t>(slice);
  const Stream::Moved moved = stream_->send_file(range.file->get(), range.offset, length);
  if (moved.outcome == Stream::Outcome::bad_file) {
    gone("a file became shorter, or could not be read, while it was sent", LinkOwner::Gone::ours);
    return false;
  }
  if (moved.outcome == Stream::Outcome::gone) {
    gone("a write failed");
    return false;
  }
  if (moved.bytes > 0) last_write_ = loop_.now();
  bytes_out_ += moved.bytes;
  pending.bytes -= moved.bytes;
  range.offset += moved.bytes;
  range.length -= moved.bytes;
  if (range.length > 0) {
    blocked_ = true;  // the stream says when to go on, at the earliest in the next turn
    return false;
  }
  pending.segments.pop_front();
  pending.fetched_to = 0;
  return true;
}

// The system would read the file from its disk while the loop waits: 12 ms for a slice (measured),
// and for ever where the disk hangs. A thread of the pool waits instead.
void Link::fetch(Pending& pending, const FileRange& range) {
  pending.fetching = true;
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(range.length, kFetchBytes));
  loop_.offload([file = range.file, offset = range.offset,
                 length] { fetch_into_cache(file->get(), offset, length); },
                [this, guard = Ref<LinkOwner>(&owner_), fetched_to = range.offset + length] {
                  if (closed() || !pending_) return;
                  pending_->fetching = false;
                  pending_->fetched_to = fetched_to;
                  blocked_ = false;
                  last_write_ = loop_.now();
                  touch();
                },
                Lane::disk);
}

void Link::shutdown_write() {
  shutting_ = true;
  touch();
}

void Link::gone(std::string_view detail, LinkOwner::Gone why) {
  if (closed()) return;
  owner_.on_gone(why, detail);
  close(true);
}

void Link::close(bool reset) {
  if (closed()) return;
  if (reset) stream_->reset_on_close();
  stream_.reset();
  pending_.reset();
  held_ = {};
  if (batch_ != nullptr) batch_->clear();
  if (account_) account_->detach();
  disarm();
}

}  // namespace v0
}  // namespace cleave
