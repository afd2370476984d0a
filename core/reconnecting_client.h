// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string_view>

#include "cleave/core/client.h"
#include "cleave/core/loop.h"
#include "cleave/core/retry.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct ReconnectingOptions {
  // Of each connection.
  ClientOptions client = {};
  // Of each call that is idempotent.
  RetryOptions retry = {};
  // How much longer than its `timeout` a call that was sent is waited for. The server keeps the
  // same time and its answer says more than ours would, for example how far a program had got.
  Millis answer_grace = Millis(1'000);
  // How long the server's word on a cancelled call is waited for; whoever cancels has no patience.
  Millis cancel_grace = Millis(1'000);
};

// A client that keeps one connection to a server and makes another when that has broken: when it is
// first used, and when a call is made or repeated and there is none. It never connects of its own
// accord. Any number of calls run at once, as of a Client. Used and destroyed on the loop's thread.
// Destroyed, it closes the connection; calls that run end with `unavailable`, from inside its
// destructor. May be destroyed in a callback of its own.
//
//     auto client = ReconnectingClient::create(loop, "tcp://127.0.0.1:8080").value();
//     client->call({.cmd = "stat",
//                   .members = Members().set("filename", "a"),
//                   .timeout = Millis(2'000),
//                   .idempotent = true},
//                  [](Result<Answer> answer) { … });
//
// What becomes of a call when the connection breaks before its reply has ended, when none can be
// made, or when the server says that it cannot just now (may_pass() in retry.h tells which codes
// those are):
//
//   not idempotent   It ends with that error at once, as nobody knows whether it was carried out.
//   idempotent       It is sent again after a time, until `attempts` are used up or the next one
//                    would begin after its `timeout`; then it ends with the last error. Attempts to
//                    connect count. A body that is a Source is not sent again, unless the call has
//                    `make_body`; nor is a call some of whose reply has been passed on to a
//                    ReplyHandler that cannot take that back (on_restart).
//
// A server that says `unavailable` is about to stop: its connection is finished, with the calls
// that run on it, and further ones go by a new connection.
//
// A call with a `timeout` ends in that time and `answer_grace`, whatever the server does: with
// `deadline_exceeded` where nothing else has been said; its connection may be dead, and is not used
// for further calls. One without it waits for as long as its connection stands.
class CLEAVE_API ReconnectingClient {
 public:
  // Makes a connection and calls back once, later and not from inside. Where it goes is its own
  // affair: to one of several servers in turn, through a tunnel, or into a test. It has to end by
  // itself: as long as it has not called back, what waits for a connection waits, a call until its
  // `timeout`.
  using Connect = UniqueFunction<void(Client::Connected)>;

  // For a `tcp://` or `unix:` URL with the wire frame; `invalid_argument` for any other. Does not
  // connect yet.
  [[nodiscard]] static Result<std::unique_ptr<ReconnectingClient>> create(
      Loop& loop, std::string_view url, const ReconnectingOptions& options = {});
  ReconnectingClient(Loop& loop, Connect connect, const ReconnectingOptions& options = {});
  ~ReconnectingClient();
  ReconnectingClient(const ReconnectingClient&) = delete;
  ReconnectingClient& operator=(const ReconnectingClient&) = delete;

  // As Client::call() and Client::start(). A call that is cancelled while it waits, for a
  // connection or for its next attempt, ends with `cancelled`; one that was sent ends when the
  // server says so, and with `cancelled` after `cancel_grace`.
  CallHandle call(Call call, UniqueFunction<void(Result<Answer>)> done);
  CallHandle start(Call call, std::unique_ptr<ReplyHandler> handler);

  // Connects now if there is no connection, once; `done` is called later, with the error of that
  // one attempt. For programs that want to know at their start whether anybody is there.
  void connect(UniqueFunction<void(Result<void>)> done);
  // There is a connection, as far as is known.
  [[nodiscard]] bool connected() const noexcept;
  // Called whenever a connection has been made.
  void on_connect(UniqueFunction<void()> callback);
  // Ends the connection with a reset, and all calls with `cancelled`, from inside. A later call
  // connects anew.
  void reset();

  [[nodiscard]] Loop& loop() const noexcept;

 private:
  Ref<class ReconnectingCore> core_;
};

}  // namespace v0
}  // namespace cleave
