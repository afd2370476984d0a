// SPDX-License-Identifier: MIT
#include "cleave/core/outgoing.h"

#include <sys/stat.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "cleave/protocol/encoder.h"

namespace cleave {
inline namespace v0 {

Outgoing::Outgoing(Kind kind, std::optional<std::uint64_t> id, std::string&& cmd, Reply&& message,
                   const OutgoingOptions& options)
    : kind_(kind), id_(id), cmd_(std::move(cmd)), message_(std::move(message)), options_(options) {}

Outgoing::~Outgoing() {
  unbind();
}

void Outgoing::on_wake(UniqueFunction<void()> waker) {
  if (auto* source = std::get_if<std::shared_ptr<Source>>(&message_.body)) {
    SourceBinding::bind(**source, std::move(waker));
  }
}

void Outgoing::unbind() {
  if (auto* source = std::get_if<std::shared_ptr<Source>>(&message_.body)) {
    SourceBinding::bind(**source, nullptr);
  }
}

// What a source throws stops here, as what a handler throws does.
Outgoing::Step Outgoing::advance(Link& link) {
  try {
    return advance_body(link);
  } catch (const std::exception& thrown) {
    end_with({Errc::internal, std::string("the body's source failed: ") + thrown.what()});
  } catch (...) {
    end_with({Errc::internal, "the body's source failed"});
  }
  return frame_open() ? Step::broken : Step::sent;
}

Outgoing::Step Outgoing::advance_body(Link& link) {
  if (ended_early_) {
    if (frame_open() || (begun_ && !id_)) return Step::broken;
    return append(link, 0, true);
  }
  if (held_back_) return Step::waiting;
  if (std::holds_alternative<std::monostate>(message_.body)) {
    return begun_ ? Step::finished : append(link, 0, true);
  }
  if (std::holds_alternative<Buffer>(message_.body)) return advance_buffer(link);
  if (std::holds_alternative<FileRange>(message_.body)) return advance_file(link);
  if (id_) return advance_frames(link);
  if (std::get<std::shared_ptr<Source>>(message_.body)->size()) return advance_single(link);
  return advance_collecting(link);
}

bool Outgoing::cancel(CancelReason reason) {
  if (auto* source = std::get_if<std::shared_ptr<Source>>(&message_.body)) {
    const std::shared_ptr<Source> kept = *source;
    if (kept->cancel(reason)) return true;
  }
  end_with(to_error(reason));
  return false;
}

void Outgoing::end_with(Error error) {
  unbind();
  collected_.reset();
  message_.error = std::move(error);
  ended_early_ = true;
}

// Appends a head. The members of the message are in its first frame, the status in its last.
Outgoing::Step Outgoing::append(Link& link, std::uint64_t data_size, bool last,
                                std::string_view more_members) {
  if (options_.wire != Wire::frame) return append_bare(link, data_size, more_members);
  const bool reply = kind_ == Kind::reply;
  // A request has no way to say an error in its last frame: the server would take it as complete.
  if (!reply && message_.error) return Step::failed;
  // A one-way request names its size in a member of its own; with `data_size` it would be answered.
  const bool one_way = !reply && !id_;
  std::string_view text;
  std::string joined;
  const auto add = [&](std::string_view members) {
    if (members.empty()) return;
    if (text.empty()) {
      text = members;
      return;
    }
    if (joined.empty()) joined = text;
    joined.append(",").append(members);
    text = joined;
  };
  std::string error;
  if (last && reply && message_.error) error = error_members(*message_.error);
  add(error);
  if (!begun_) add(message_.members.text());
  add(more_members);
  OutgoingHead head{.cmd = begun_ ? std::string_view() : std::string_view(cmd_),
                    .id = id_,
                    .more = !last,
                    .data_size = one_way ? 0 : data_size,
                    .write_data_size = !reply && !one_way && last && !begun_,
                    .status = last && reply ? (message_.error ? "error" : "ok") : "",
                    .members = text};
  if (Result<void> appended = link.append_head(head); !appended) {
    if (ended_early_ || (begun_ && !id_)) return Step::broken;
    end_with(
        {Errc::internal, (reply ? "of the reply " : "of the request ") + appended.error().message});
    message_.members.clear();
    return append(link, 0, true);
  }
  begun_ = true;
  body_bytes_ += data_size;
  return last ? Step::finished : Step::sent;
}

// The head of a reply on a bare wire, which has only one.
Outgoing::Step Outgoing::append_bare(Link& link, std::uint64_t size,
                                     std::string_view more_members) {
  std::string text;
  if (message_.error) {
    if (!says_errors(options_.wire)) return Step::failed;
    text = R"("status":"error",)" + error_members(*message_.error);
  }
  for (const std::string_view members : {message_.members.text(), more_members}) {
    if (!members.empty()) text.append(text.empty() ? "" : ",").append(members);
  }
  if (Result<void> appended = link.append_bare_head(options_.wire, size, text); !appended) {
    if (ended_early_) return Step::broken;
    end_with(std::move(appended.error()));
    message_.members.clear();
    return append_bare(link, 0, {});
  }
  begun_ = true;
  if (options_.wire == Wire::ready) {
    announced_ = size;
    held_back_ = true;
    return Step::waiting;
  }
  body_bytes_ += size;
  return Step::finished;
}

void Outgoing::let_through() noexcept {
  held_back_ = false;
  body_bytes_ += announced_;
}

Outgoing::Step Outgoing::advance_buffer(Link& link) {
  Buffer& rest = std::get<Buffer>(message_.body);
  const bool last = !id_ || rest.size() <= options_.frame_bytes;
  Step step = Step::finished;
  // What was begun without an id has been let through: only the body is missing.
  if (id_ || !begun_) {
    step = append(link, last ? rest.size() : options_.frame_bytes, last);
    if (ended_early_ || step == Step::failed || step == Step::waiting) return step;
  }
  link.append(last ? std::move(rest) : rest.take_front(options_.frame_bytes));
  return step;
}

Outgoing::Step Outgoing::advance_file(Link& link) {
  FileRange& rest = std::get<FileRange>(message_.body);
  const bool last = !id_ || rest.length <= options_.frame_bytes;
  FileRange slice = rest;
  if (!last) slice.length = options_.frame_bytes;
  // A frame that is announced must be completed, so look again before each one.
  struct stat status;
  if (::fstat(rest.file->get(), &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) < slice.offset + slice.length) {
    end_with({Errc::io_error, "the file became shorter while it was sent"});
    return advance_body(link);
  }
  Step step = Step::finished;
  if (id_ || !begun_) {
    step = append(link, slice.length, last);
    if (ended_early_ || step == Step::failed || step == Step::waiting) return step;
  }
  rest.offset += slice.length;
  rest.length -= slice.length;
  link.append(std::move(slice));
  return step;
}

// A source of known size in a single frame. The head waits for the first bytes: until then an
// error can still be said.
Outgoing::Step Outgoing::advance_single(Link& link) {
  Source& source = *std::get<std::shared_ptr<Source>>(message_.body);
  const std::uint64_t size = *source.size();
  const std::uint64_t to_come = begun_ ? open_bytes_ : size;
  if (to_come == 0) return begun_ ? Step::finished : append(link, 0, true);
  const std::uint64_t room =
      std::min({to_come, std::max<std::uint64_t>(link.room(), 1), options_.frame_bytes});
  Source::Pulled pulled = ahead_ ? std::move(*ahead_) : source.pull(static_cast<std::size_t>(room));
  ahead_.reset();
  if (std::holds_alternative<Source::Later>(pulled)) return Step::waiting;
  if (auto* done = std::get_if<Source::Done>(&pulled)) {
    if (begun_) return Step::broken;
    end_with(done->error.value_or(
        Error{Errc::internal, "the body's source ended before its announced size"}));
    return append(link, 0, true, done->members.text());
  }
  Source::Piece& piece = std::get<Source::Piece>(pulled);
  if (piece.bytes.empty()) return Step::waiting;
  if (piece.bytes.size() > to_come) return Step::broken;
  if (!begun_) {
    const Step step = append(link, size, true);
    if (ended_early_ || step == Step::failed) return step;
    open_bytes_ = size;
    if (step == Step::waiting) {
      link.count(piece.bytes);
      ahead_ = std::move(pulled);
      return step;
    }
  }
  open_bytes_ -= piece.bytes.size();
  link.append(std::move(piece.bytes));
  return open_bytes_ == 0 ? Step::finished : Step::sent;
}

Outgoing::Step Outgoing::advance_collecting(Link& link) {
  // Nothing is sent meanwhile that could end the turn: a source that always has more would hold it.
  constexpr int kPullsATurn = 64;
  if (!collected_) collected_ = std::make_unique<Collected>();
  Source& source = *std::get<std::shared_ptr<Source>>(message_.body);
  for (int left = kPullsATurn; !link.closed(); --left) {
    if (left == 0) {
      SourceBinding::wake(source);
      break;
    }
    const std::uint64_t room = options_.collected_bytes - collected_->bytes.size() + 1;
    Source::Pulled pulled =
        source.pull(static_cast<std::size_t>(std::min(room, options_.frame_bytes)));
    if (ended_early_) return advance_body(link);  // from inside pull()
    if (std::holds_alternative<Source::Later>(pulled)) return Step::waiting;
    if (auto* done = std::get_if<Source::Done>(&pulled)) {
      unbind();
      if (done->error) message_.error = std::move(done->error);
      message_.body = Buffer::own(std::move(collected_->bytes));
      link.count(std::get<Buffer>(message_.body));
      collected_.reset();
      message_.members.append(done->members);
      return advance_buffer(link);
    }
    if (std::optional<Error> error = link.over_budget()) {
      end_with(*std::move(error));
      return advance_body(link);
    }
    collected_->bytes += std::get<Source::Piece>(pulled).bytes.bytes();
    collected_->held.set(link.account(), collected_->bytes.capacity());
    if (collected_->bytes.size() > options_.collected_bytes) {
      end_with({Errc::too_large,
                "the reply is longer than " + std::to_string(options_.collected_bytes) +
                    " bytes (collected_reply_bytes): ask with an id",
                "collected_reply_bytes"});
      return advance_body(link);
    }
  }
  return Step::waiting;
}

// A source with an id: each piece is a frame. One piece is pulled ahead, so that the last bytes
// and the status leave in one frame where both are there.
Outgoing::Step Outgoing::advance_frames(Link& link) {
  Source& source = *std::get<std::shared_ptr<Source>>(message_.body);
  const auto pull = [&] {
    return source.pull(static_cast<std::size_t>(
        std::min(std::max<std::uint64_t>(link.room(), 1), options_.frame_bytes)));
  };
  Source::Pulled now = ahead_ ? std::move(*ahead_) : pull();
  ahead_.reset();
  if (std::holds_alternative<Source::Later>(now)) {
    // A request does not wait for its body: its program may have something to say before it is
    // asked. A reply does, as until then an error can still be said.
    if (kind_ == Kind::reply || begun_) return Step::waiting;
    const Step step = append(link, 0, false);
    return step == Step::sent ? Step::waiting : step;
  }
  if (auto* done = std::get_if<Source::Done>(&now)) {
    if (done->error) message_.error = std::move(done->error);
    return append(link, 0, true, done->members.text());
  }
  Source::Piece& piece = std::get<Source::Piece>(now);
  if (piece.bytes.empty()) return Step::waiting;
  Source::Pulled next = pull();
  auto* done = std::get_if<Source::Done>(&next);
  const bool last = done != nullptr && piece.members.empty();
  if (last && done->error) message_.error = std::move(done->error);
  const Step step =
      append(link, piece.bytes.size(), last, (last ? done->members : piece.members).text());
  if (step == Step::failed || ended_early_) return step;
  link.append(std::move(piece.bytes));
  if (last) return step;
  const bool waiting = std::holds_alternative<Source::Later>(next);
  if (!waiting) {
    if (const auto* ahead = std::get_if<Source::Piece>(&next)) link.count(ahead->bytes);
    ahead_ = std::move(next);
  }
  return waiting ? Step::waiting : step;
}

}  // namespace v0
}  // namespace cleave
