// SPDX-License-Identifier: MIT
#include "cleave/bin/load/load_connection.h"

#include <cassert>
#include <utility>
#include <variant>

namespace cleave::load {
namespace {

// What one read takes: as much as a server writes at once, and small enough for a processor's
// cache.
constexpr std::size_t kReadBytes = 256 * 1024;

std::string_view text_of(const Header& header, std::string_view name, std::string_view fallback) {
  const std::optional<Value> value = header.find(name);
  return value ? value->string().value_or(fallback) : fallback;
}

}  // namespace

Workplace::Workplace(const Requests& with, const Expectation& expect)
    : requests(with),
      expectation(expect),
      known(with),
      gather(with.make_gather()),
      input(kReadBytes) {}

LoadConnection::LoadConnection(Host& host, Workplace& workplace, std::unique_ptr<Stream> stream,
                               std::size_t number)
    : host_(host),
      workplace_(workplace),
      number_(number),
      stream_(std::move(stream)),
      decoder_(workplace.parser),
      slots_(workplace.requests.depth()),
      free_(slots_.size()),
      queued_(slots_.size()) {
  for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) free_.push(slot);
  stream_->set_events(this);
  stream_->watch({.read = true});
}

// ---- Requests -----------------------------------------------------------------------------------

void LoadConnection::start(std::uint64_t at) {
  assert(has_room());
  const std::uint32_t slot = free_.pop();
  slots_[slot].at = at;
  slots_[slot].state = State::queued;
  queued_.push(slot);
  ++in_flight_;
}

void LoadConnection::flush() {
  while (!lost() && !queued_.empty() && !blocked_ && !deaf_) {
    Gather& gather = workplace_.gather;
    gather.clear();
    std::uint64_t skip = sent_;
    for (std::size_t i = 0; i < queued_.size(); ++i) {
      const std::uint32_t slot = queued_[i];
      if (!workplace_.requests.append(gather, slot, slots_[slot].round, skip)) break;
      skip = 0;
    }
    const Stream::Moved moved = stream_->write(gather.pieces());
    workplace_.sent_bytes += moved.bytes;
    advance(moved.bytes);
    blocked_ = moved.outcome == Stream::Outcome::would_block;
    deaf_ = moved.outcome == Stream::Outcome::gone;
    if (blocked_) stream_->watch({.read = true, .write = true});
  }
}

void LoadConnection::advance(std::size_t bytes) {
  sent_ += bytes;
  while (!queued_.empty() && sent_ >= workplace_.requests.size(queued_.front())) {
    const std::uint32_t slot = queued_.pop();
    sent_ -= workplace_.requests.size(slot);
    if (slots_[slot].state == State::answered) {
      release(slot);
    } else {
      slots_[slot].state = State::sent;
    }
  }
}

// ---- Replies ------------------------------------------------------------------------------------

void LoadConnection::on_ready(bool readable, bool writable) {
  if (writable && blocked_) {
    blocked_ = false;
    stream_->watch({.read = true});
    flush();
    host_.on_room(*this);
  }
  if (readable) read();
}

void LoadConnection::on_hangup(bool /*gone*/) {
  lose("the connection was reset");
}

void LoadConnection::read() {
  const Stream::Moved moved = stream_->read(workplace_.input);
  switch (moved.outcome) {
    case Stream::Outcome::done:
      workplace_.received_bytes += moved.bytes;
      host_.on_input();
      take({workplace_.input.data(), moved.bytes});
      if (!lost()) host_.on_room(*this);
      return;
    case Stream::Outcome::end:
      return lose("the server has closed the connection");
    case Stream::Outcome::gone:
      return lose("the connection was reset");
    case Stream::Outcome::would_block:
    case Stream::Outcome::bad_file:
      return;
  }
}

void LoadConnection::take(std::string_view input) {
  while (!lost()) {
    while (!decoder_.inside_frame() && take_known(input)) {
    }
    Result<Decoder::Event> event = decoder_.next(input);
    if (!event) return lose("what came is no reply: " + event.error().message);
    if (auto* const head = std::get_if<Decoder::Head>(&*event)) {
      on_head(std::move(head->header));
    } else if (const auto* const body = std::get_if<Decoder::Body>(&*event)) {
      on_body(body->bytes);
    } else if (std::holds_alternative<Decoder::End>(*event)) {
      on_end();
    } else {
      return;
    }
  }
}

// A whole reply, to the request whose turn it is, that begins as one before.
bool LoadConnection::take_known(std::string_view& input) {
  Slot& slot = slots_[next_];
  if (slot.state != State::sent || slot.received != 0) return false;
  const KnownReplies::Reply known = workplace_.known.to(next_, id_of(next_));
  if (known.head.empty() || !input.starts_with(known.head)) return false;
  const std::string_view rest = input.substr(known.head.size());
  if (rest.size() < known.body_size) return false;
  const std::string_view body = rest.substr(0, known.body_size);
  input = rest.substr(body.size());
  current_ = next_;
  refused_ = false;
  on_body(body);
  finish(current_);
  return true;
}

void LoadConnection::on_head(Ref<const Header> header) {
  const FrameHead& frame = header->frame();
  const std::string_view status = text_of(*header, "status", "");
  refused_ = !frame.more && status == "error";
  const std::optional<std::uint32_t> slot = slot_of(frame);
  if (!slot && refused_) {
    // It is about the connection.
    return lose(std::string(text_of(*header, "code", "error")) + ": " +
                std::string(text_of(*header, "message", "")));
  }
  if (!slot) return lose("a reply came that no request was waiting for");
  if (!frame.more && !refused_ && status != "ok") {
    return lose("a reply came whose status is neither ok nor error");
  }
  current_ = *slot;
  head_ = std::move(header);
  const Slot& replied = slots_[current_];
  if (!frame.more && !refused_ && replied.received == 0) {
    workplace_.known.learn(current_, id_of(current_), *head_);
  }
}

void LoadConnection::on_body(std::string_view bytes) {
  Slot& slot = slots_[current_];
  const Expectation& expectation = workplace_.expectation;
  if (!refused_ && !slot.wrong && !expectation.fits(slot.received, bytes)) {
    slot.wrong = true;
    difference_ = expectation.difference(slot.received, bytes);
  }
  slot.received += bytes.size();
}

void LoadConnection::on_end() {
  const Ref<const Header> head = std::exchange(head_, {});
  if (head->frame().more) return;
  if (!refused_) return finish(current_);
  host_.on_error(slots_[current_].at, text_of(*head, "code", "error"),
                 text_of(*head, "message", ""));
  release_or_wait(current_);
}

// All of a reply has come, and it is no error.
void LoadConnection::finish(std::uint32_t index) {
  const Slot& slot = slots_[index];
  const Expectation& expectation = workplace_.expectation;
  if (slot.wrong) {
    host_.on_wrong(slot.at, difference_);
  } else if (!expectation.may_end(slot.received)) {
    host_.on_wrong(slot.at, expectation.wrong_size(slot.received));
  } else {
    host_.on_ok(slot.at);
  }
  release_or_wait(index);
}

// An id may be used again when both the reply and the request have ended.
void LoadConnection::release_or_wait(std::uint32_t index) {
  --in_flight_;
  next_ = index + 1 < slots_.size() ? index + 1 : 0;
  if (slots_[index].state == State::queued) {
    slots_[index].state = State::answered;
  } else {
    release(index);
  }
}

void LoadConnection::release(std::uint32_t index) {
  slots_[index] = {.round = slots_[index].round + 1};
  free_.push(index);
}

void LoadConnection::lose(const std::string& sentence) {
  stream_.reset();
  host_.on_lost(*this, sentence);
}

std::optional<std::uint32_t> LoadConnection::slot_of(const FrameHead& frame) const noexcept {
  const bool none = workplace_.requests.ids() == Ids::none;
  if (frame.id.has_value() == none) return std::nullopt;
  const std::optional<std::uint32_t> slot =
      none ? std::optional(next_) : workplace_.requests.slot_of(*frame.id);
  if (!slot || (!none && id_of(*slot) != *frame.id)) return std::nullopt;
  const State state = slots_[*slot].state;
  const bool begun = state == State::queued && *slot == queued_.front() && sent_ > 0;
  if (state != State::sent && !begun) return std::nullopt;
  return slot;
}

std::uint64_t LoadConnection::id_of(std::uint32_t slot) const noexcept {
  return workplace_.requests.id(slot, slots_[slot].round);
}

}  // namespace cleave::load
