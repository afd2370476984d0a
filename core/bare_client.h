// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "cleave/core/buffer.h"
#include "cleave/core/client.h"
#include "cleave/core/loop.h"
#include "cleave/core/stream.h"
#include "cleave/core/unique_function.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"
#include "cleave/protocol/wire.h"

namespace cleave {
inline namespace v0 {

// A connection to a server whose wire is bare: raw, ready, prefix or header. It carries one message
// at a time, and what is done with it is the server's to know. Used and destroyed on the loop's
// thread. Destroying it closes the connection; a reply that is under way ends with `unavailable`.
class CLEAVE_API BareClient {
 public:
  using Connected = UniqueFunction<void(Result<std::unique_ptr<BareClient>>)>;
  // Connects to a `tcp://` or `unix:` URL with one of those wires; `done` is called later, not from
  // inside connect(). Of the options, those about frames and gathered replies mean nothing here.
  static void connect(Loop& loop, std::string_view url, const ClientOptions& options,
                      Connected done);
  // Over a stream that came from elsewhere, ready to be used.
  BareClient(Loop& loop, std::unique_ptr<Stream> stream, Wire wire,
             const ClientOptions& options = {});
  ~BareClient();
  BareClient(const BareClient&) = delete;
  BareClient& operator=(const BareClient&) = delete;

  // Sends a message and passes its reply on as it comes; never calls the handler from inside.
  // on_frame comes on the wire `header` alone. The outcome is
  //   `invalid_argument`     the message is empty: a stream cannot carry that
  //   `failed_precondition`  the last reply is still under way
  //   `unavailable`          the connection ended before the reply did; what was expected is said
  //   `protocol_error`       what came is no reply, or more than one
  //   the server's own       where it can say one: on the wire `header`
  //
  // A raw reply says nothing of its size. With `reply_size` (at least 1) that many bytes are the
  // reply. Without it the write side is closed behind the message and the reply ends with the
  // connection; whether the server has failed or had nothing to say then looks the same.
  void ask(Buffer message, std::unique_ptr<ReplyHandler> handler,
           std::optional<std::uint64_t> reply_size = std::nullopt);

  // Whether another message can be sent when the last reply is complete. After an empty reply on
  // the wire `ready` none can: the message could reach the server in one piece with our
  // `recv_ready`, and many a server would not know it.
  [[nodiscard]] bool connected() const noexcept;
  // Ends the connection with a reset: the server cancels whatever runs for it. A reply that is
  // under way ends with `cancelled`.
  void reset();

 private:
  Ref<class BareClientCore> core_;
};

}  // namespace v0
}  // namespace cleave
