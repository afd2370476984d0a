// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <memory>
#include <string_view>

#include "cleave/core/client.h"
#include "cleave/core/loop.h"
#include "cleave/core/reconnecting_client.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// A client for programs without a loop: a call returns when its reply is there.
//
//     auto client = BlockingClient::connect("tcp://127.0.0.1:8080");
//     if (!client) return complain(client.error());
//     auto answer = client->call({.cmd = "echo", .body = Buffer::copy_of("hello")});
//
// It owns a loop and runs it for the time of a call. No thread is made, no signal handled, and
// nothing happens between calls: a connection that breaks meanwhile is noticed by the next call. (A
// body that is a file is fetched by libuv's pool, which then has threads.) Used by one thread at a
// time. A call from inside one of its own callbacks, and the use of one that was moved from, are
// bugs, which an assert finds.
//
// Behind it is a ReconnectingClient: what is said there of `idempotent`, of attempts and of
// `timeout` holds here. A call without a `timeout` blocks for as long as the connection stands, so
// give one where the server might be silent.
class CLEAVE_API BlockingClient {
 public:
  // Connects to a `tcp://` or `unix:` URL with the wire frame, once, within
  // `options.client.connect_timeout`: `invalid_argument` for other URLs, `unavailable` where nobody
  // listens.
  [[nodiscard]] static Result<BlockingClient> connect(std::string_view url,
                                                      const ReconnectingOptions& options = {});
  BlockingClient(BlockingClient&&) noexcept;
  BlockingClient& operator=(BlockingClient&&) noexcept;
  ~BlockingClient();

  // Sends a request and gathers its reply, of up to `options.client.collected_reply_bytes`
  // (`too_large`).
  [[nodiscard]] Result<Answer> call(Call call);
  // Sends a request and passes its reply's body on as it comes, of any size: a view for the call.
  // While `on_body` works nothing is read, so a slow one slows the server down. It returns false to
  // end the call, which is then `cancelled`. The results are in the header of the last frame. Not
  // repeated once some of the body has come.
  [[nodiscard]] Result<Ref<const Header>> call(Call call,
                                               UniqueFunction<bool(std::string_view)> on_body);

  // What is behind it, for what has no blocking call of its own. wait_until() turns the loop until
  // `done` says so, which it asks after every turn; a limit of time is a Timer that `done` looks
  // at.
  [[nodiscard]] ReconnectingClient& client() noexcept {
    assert(client_ && "a BlockingClient was used after it was moved");
    return *client_;
  }
  [[nodiscard]] Loop& loop() noexcept {
    assert(loop_ && "a BlockingClient was used after it was moved");
    return *loop_;
  }
  void wait_until(UniqueFunction<bool()> done);

 private:
  BlockingClient(std::unique_ptr<Loop> loop, std::unique_ptr<ReconnectingClient> client) noexcept;

  std::unique_ptr<Loop> loop_;
  std::unique_ptr<ReconnectingClient> client_;
};

}  // namespace v0
}  // namespace cleave
