// SPDX-License-Identifier: MIT
#include "cleave/core/reply.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "cleave/core/exchange.h"
#include "cleave/core/handler.h"

namespace cleave {
inline namespace v0 {

Errc to_errc(CancelReason reason) noexcept {
  switch (reason) {
    case CancelReason::deadline:
      return Errc::deadline_exceeded;
    case CancelReason::draining:
      return Errc::unavailable;
    case CancelReason::cancelled:
    case CancelReason::peer_gone:
      break;
  }
  return Errc::cancelled;
}

Error to_error(CancelReason reason) {
  std::string message;
  switch (reason) {
    case CancelReason::deadline:
      message = "the request's time has passed (its timeout_ms, or else request_timeout_ms)";
      break;
    case CancelReason::cancelled:
      message = "the request was cancelled by its sender";
      break;
    case CancelReason::peer_gone:
      message = "the connection has ended";
      break;
    case CancelReason::draining:
      message = "the server stops and could not wait longer";
      break;
  }
  return {to_errc(reason), std::move(message)};
}

// ---- Source, Relay ------------------------------------------------------------------------------

void Source::wake() {
  if (waker_) waker_();
}

void Relay::push(Buffer bytes, Members members) {
  if (end_ || bytes.empty()) return;
  pieces_.push_back({std::move(bytes), std::move(members)});
  wake();
}

void Relay::finish(Members members, std::optional<Error> error) {
  if (end_) return;
  end_ = Done{std::move(members), std::move(error)};
  wake();
}

Source::Pulled Relay::pull(std::size_t room) {
  if (pieces_.empty()) {
    if (end_) return *end_;
    return Later{};
  }
  Piece& front = pieces_.front();
  if (front.bytes.size() > room) return Piece{front.bytes.take_front(room), front.members};
  Piece piece = std::move(front);
  pieces_.pop_front();
  return piece;
}

bool Relay::cancel(CancelReason reason) {
  pieces_.clear();
  if (auto callback = std::exchange(on_cancel_, nullptr)) callback(reason);
  return false;
}

// ---- ReplyWriter --------------------------------------------------------------------------------

ReplyWriter& ReplyWriter::append(std::string_view bytes) {
  const std::less_equal<> before;  // of pointers into different memory, too
  const char* const end = request_body_.data() + request_body_.size();
  if (body_->empty() && !borrows() && before(request_body_.data(), bytes.data()) &&
      before(bytes.data() + bytes.size(), end)) {
    borrowed_ = bytes;
  } else {
    body().append(bytes);
  }
  return *this;
}

std::string& ReplyWriter::body() {
  body_->append(std::exchange(borrowed_, {}));
  return *body_;
}

// ---- ReplyToken ---------------------------------------------------------------------------------

ReplyToken::ReplyToken(Ref<Exchange> exchange) noexcept : exchange_(std::move(exchange)) {}
ReplyToken::ReplyToken(ReplyToken&&) noexcept = default;

ReplyToken& ReplyToken::operator=(ReplyToken&& other) noexcept {
  if (exchange_ && exchange_ != other.exchange_) exchange_->abandon();
  exchange_ = std::move(other.exchange_);
  return *this;
}

ReplyToken::~ReplyToken() {
  if (exchange_) exchange_->abandon();
}

void ReplyToken::send(Reply reply) && {
  if (const Ref<Exchange> exchange = std::move(exchange_)) exchange->reply(std::move(reply));
}

bool ReplyToken::wanted() const noexcept {
  return exchange_ && exchange_->wanted();
}

Result<void> ReplyToken::holds(std::uint64_t bytes) {
  return exchange_ ? exchange_->holds(bytes) : Result<void>();
}

void ReplyToken::on_cancel(UniqueFunction<void(CancelReason)> callback) {
  if (exchange_) exchange_->on_cancel(std::move(callback));
}

}  // namespace v0
}  // namespace cleave
