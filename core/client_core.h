// SPDX-License-Identifier: MIT
#pragma once
// Internal: what is behind a Client.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "cleave/core/call_runner.h"
#include "cleave/core/client.h"
#include "cleave/core/link.h"
#include "cleave/core/outgoing.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

// Numbers requests, sends them frame by frame in turn, and finds the request of each reply frame.
class ClientCore final : public LinkOwner, public CallRunner {
 public:
  ClientCore(Loop& loop, std::unique_ptr<Stream> stream, const ClientOptions& options);
  ~ClientCore() override;

  void add_ref() const noexcept override { LinkOwner::add_ref(); }
  void drop_ref() const noexcept override { LinkOwner::drop_ref(); }

  void start_link() { link_.start(); }
  std::uint64_t start(Call call, std::unique_ptr<ReplyHandler> handler);
  void start_one_way(Call call, UniqueFunction<void(Result<void>)> done);
  void cancel(std::uint64_t id) override;
  [[nodiscard]] bool running(std::uint64_t id) const noexcept override {
    return calls_.count(id) > 0;
  }
  [[nodiscard]] bool connected() const noexcept { return !link_.closed(); }
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] const ClientOptions& options() const noexcept { return options_; }
  void on_close(UniqueFunction<void(Error)> callback) { on_close_ = std::move(callback); }
  void finish();
  // Ends the connection; everything that runs ends with `error`.
  void close(const Error& error, bool reset);
  // The Client goes: as close(), and nobody is told any more that the connection has ended.
  void abandon();

 private:
  // One-way requests have keys behind the largest id.
  static constexpr std::uint64_t kFirstOneWay = std::uint64_t{1} << 60;

  struct Running {
    // Shared with the call that is being made to it, as that may end the connection. Null for a
    // one-way request, and once the reply is complete.
    std::shared_ptr<ReplyHandler> handler;
    UniqueFunction<void(Result<void>)> done;  // of a one-way request
    Ref<Outgoing> outgoing;                   // until the request is sent
    bool ready = false;
    bool cancelled = false;  // by its caller, who gets the server's answer to that
  };

  bool wants_input() override { return true; }
  bool on_input(std::string_view& input) override;
  void on_input_end() override;
  void on_hangup() override {}
  void on_gone(Gone why, std::string_view detail) override;
  void on_output_room() override;
  void on_shut() override {}

  std::uint64_t add(Call call, std::optional<std::uint64_t> id, Running running);
  void ready(std::uint64_t key);
  void advance(std::uint64_t key, Running& running);
  void call_off(std::uint64_t key, Running& running);
  void sent(std::uint64_t key);
  void finish_one_way();
  void on_head(const Ref<const Header>& header);
  void on_end();
  [[nodiscard]] bool can_ask() const;
  [[nodiscard]] Time last_sign();
  void on_silence();

  Loop& loop_;
  ClientOptions options_;
  HeaderParser parser_;
  const LinkOptions link_options_;
  Link link_;
  Decoder decoder_;
  std::map<std::uint64_t, Running> calls_;
  std::deque<std::uint64_t> ready_;
  std::deque<std::uint64_t> cancels_;        // ids to be cancelled as soon as no frame is open
  std::optional<std::uint64_t> open_frame_;  // whose single frame is under way
  Ref<const Header> header_;                 // of the frame that arrives
  std::shared_ptr<ReplyHandler> receiving_;  // of that frame's call
  std::deque<std::uint64_t> again_;          // are asked again in the next turn
  Timer silence_;
  Time sign_;                        // of life, that the server has given
  std::uint64_t counted_bytes_ = 0;  // of the output, which are no further sign
  bool ping_wanted_ = false;
  bool pinged_ = false;  // since the last sign
  UniqueFunction<void(Error)> on_close_;
  bool finishing_ = false;
  bool broken_ = false;
  std::uint64_t next_id_ = 1;
  std::uint64_t next_one_way_ = kFirstOneWay;
};

}  // namespace v0
}  // namespace cleave
