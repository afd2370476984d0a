// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cleave/core/buffer.h"
#include "cleave/core/reply.h"
#include "cleave/core/request.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Handlers: what a command does. Three shapes, all registered with Router::add(); all run on the
// loop's thread and must not block it (see Loop::offload). An exception that leaves a handler is
// answered as `internal`, unless its answer is complete already.
//
// 1. Collected: the body has been gathered, up to the command's limit, when the function is called.
//
//        router.add("greet", {.summary = "says hello"},
//                   collected([](const Request&, std::string_view name) -> Result<Reply> {
//                     if (name.empty()) return fail(Errc::invalid_argument, "a name is needed");
//                     return Reply::text("hello " + std::string(name));
//                   }));
//
//    The form with a ReplyWriter writes into memory that is used again for the next request, which
//    saves the allocations of small replies.
//
// 2. Streaming: an object per request sees the body as it comes, whatever its size.
//
// 3. Later: the body is gathered, and the function keeps the token and answers when it can.

// One streaming request. The order of calls: on_body any number of times, then on_end; on_cancel at
// most once, at any time until the reply is complete, also after on_end. After on_cancel neither
// of the others is called. The framework lets go of the object when the reply is complete; right
// after on_cancel(peer_gone) has returned; and after an answer that came before the end of the
// body, of which the rest is then dropped.
class Handler {
 public:
  virtual ~Handler() = default;

  // A piece of the body. To slow the sender down, keep the chunk and hold it until it is done with.
  virtual void on_body(Chunk chunk) = 0;
  // The body is complete.
  virtual void on_end() = 0;
  // The request is to end early. The token stays usable for an answer (but for peer_gone): dropped,
  // it answers the reason's code; after `cancel_grace_ms` the framework answers without it.
  virtual void on_cancel(CancelReason /*reason*/) {}
};

// Makes the handler of one request. It may answer at once and return null: the body is then
// dropped. `request` lives until the reply is complete. The framework drops its pointer when it is
// done with the handler; one that has work under way elsewhere keeps itself alive with
// std::enable_shared_from_this.
using HandlerFactory =
    std::function<std::shared_ptr<Handler>(const Request& request, ReplyToken token)>;

// Where a collected handler puts its answer: members and body, in memory that the loop uses again
// for every request. Valid during the call.
class CLEAVE_API ReplyWriter {
 public:
  template <typename T>
  ReplyWriter& set(std::string_view name, T&& value) {
    members_->set(name, std::forward<T>(value));
    return *this;
  }
  // Bytes of the request's own body that are all of the reply's are not copied here.
  ReplyWriter& append(std::string_view bytes);
  // The body so far, to be written into directly.
  [[nodiscard]] std::string& body();

 private:
  friend class Connection;
  friend class Exchange;
  friend class DatagramListener;
  ReplyWriter(Members& members, std::string& body, std::string_view request_body) noexcept
      : members_(&members), body_(&body), request_body_(request_body) {}

  [[nodiscard]] bool borrows() const noexcept { return !borrowed_.empty(); }
  // The whole body; valid as long as the request's and what it writes to.
  [[nodiscard]] std::string_view bytes() const noexcept {
    return borrows() ? borrowed_ : std::string_view(*body_);
  }

  Members* members_;
  std::string* body_;
  std::string_view request_body_;
  std::string_view borrowed_;  // a part of it that is the reply's body
};

using CollectedFunction =
    std::function<Result<void>(const Request& request, std::string_view body, ReplyWriter& reply)>;
using ReturningFunction =
    std::function<Result<Reply>(const Request& request, std::string_view body)>;
using LaterFunction = std::function<void(const Request& request, Buffer body, ReplyToken token)>;

// A registered handler of any shape.
class Route {
 public:
  std::variant<HandlerFactory, CollectedFunction, ReturningFunction, LaterFunction> shape;
};

// `body` is valid during the call.
[[nodiscard]] inline Route collected(CollectedFunction function) {
  return {std::move(function)};
}
[[nodiscard]] inline Route collected(ReturningFunction function) {
  return {std::move(function)};
}
[[nodiscard]] inline Route streaming(HandlerFactory factory) {
  return {std::move(factory)};
}
[[nodiscard]] inline Route later(LaterFunction function) {
  return {std::move(function)};
}

}  // namespace v0
}  // namespace cleave
