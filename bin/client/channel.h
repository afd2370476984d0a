// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cleave/core/bare_client.h"
#include "cleave/core/buffer.h"
#include "cleave/core/client.h"
#include "cleave/core/datagram_client.h"
#include "cleave/core/reconnecting_client.h"
#include "cleave/protocol/wire.h"

namespace cleave::cli {

// Sees a reply as it comes.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void on_frame(const Header& /*header*/) {}
  // To slow the server down, hold the bytes until they are done with.
  virtual void on_body(Buffer bytes) = 0;
};

// How a request ended.
struct Outcome {
  Result<void> result;
  Ref<const Header> header = {};  // of the reply's last frame; null where none came
};

// A request under way, shared by the one who waits for it and the channel it went by: one that is
// given up must not reach a sink that has gone.
struct Pending {
  Sink* sink;
  bool begun = false;        // some of its reply has come
  std::uint64_t pieces = 0;  // of it, so far
  std::optional<Outcome> outcome = {};
};

// One way to a server, whatever the wire and the transport. Carries one request at a time.
class Channel {
 public:
  virtual ~Channel() = default;
  // On the bare wires the call's body is all that is sent.
  virtual void start(Call call, const std::shared_ptr<Pending>& pending) = 0;
  // Asks the server to end the request; false where there is no way to ask.
  [[nodiscard]] virtual bool cancel() { return false; }
  // Ends the request with the connection.
  virtual void reset() = 0;
  // Another request can be started.
  [[nodiscard]] virtual bool usable() const = 0;
};

[[nodiscard]] std::unique_ptr<Channel> channel_over(ReconnectingClient& client);
[[nodiscard]] std::unique_ptr<Channel> channel_over(std::unique_ptr<BareClient> client, Wire wire);
[[nodiscard]] std::unique_ptr<Channel> channel_over(std::unique_ptr<DatagramClient> client);

}  // namespace cleave::cli
