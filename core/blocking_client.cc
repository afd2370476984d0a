// SPDX-License-Identifier: MIT
#include "cleave/core/blocking_client.h"

#include <optional>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

// Passes a reply on to a function that lives as long as the call.
class Passing final : public ReplyHandler {
 public:
  struct Shared {
    UniqueFunction<bool(std::string_view)> on_body;
    CallHandle call = {};
    bool stopped = false;
    std::optional<Result<Ref<const Header>>> outcome = {};
  };
  explicit Passing(Shared& shared) : shared_(shared) {}

  void on_body(Chunk chunk) override {
    begun_ = true;
    if (shared_.stopped || shared_.on_body(chunk.bytes())) return;
    shared_.stopped = true;
    shared_.call.cancel();
  }
  bool on_restart() override { return !begun_; }
  void on_end(Result<void> outcome, const Header* header) override {
    if (shared_.stopped) {
      shared_.outcome = fail(Errc::cancelled, "the caller wanted no more of the reply");
    } else if (!outcome) {
      shared_.outcome = fail(std::move(outcome.error()));
    } else {
      shared_.outcome = Ref<const Header>(header);
    }
  }

 private:
  Shared& shared_;
  bool begun_ = false;
};

}  // namespace

Result<BlockingClient> BlockingClient::connect(std::string_view url,
                                               const ReconnectingOptions& options) {
  auto loop = Loop::create();
  if (!loop) return fail(loop.error());
  auto client = ReconnectingClient::create(**loop, url, options);
  if (!client) return fail(client.error());
  BlockingClient blocking(*std::move(loop), *std::move(client));
  std::optional<Result<void>> connected;
  blocking.client_->connect([&connected](Result<void> result) { connected = std::move(result); });
  blocking.wait_until([&connected] { return connected.has_value(); });
  if (!*connected) return fail(connected->error());
  return blocking;
}

BlockingClient::BlockingClient(std::unique_ptr<Loop> loop,
                               std::unique_ptr<ReconnectingClient> client) noexcept
    : loop_(std::move(loop)), client_(std::move(client)) {}
BlockingClient::BlockingClient(BlockingClient&&) noexcept = default;
BlockingClient& BlockingClient::operator=(BlockingClient&& other) noexcept {
  client_ = std::move(other.client_);  // goes before its loop
  loop_ = std::move(other.loop_);
  return *this;
}
BlockingClient::~BlockingClient() = default;

Result<Answer> BlockingClient::call(Call call) {
  std::optional<Result<Answer>> outcome;
  loop().step();  // the loop has stood still: see what has become of the connection
  client().call(std::move(call),
                [&outcome](Result<Answer> answer) { outcome = std::move(answer); });
  wait_until([&outcome] { return outcome.has_value(); });
  return std::move(*outcome);
}

Result<Ref<const Header>> BlockingClient::call(Call call,
                                               UniqueFunction<bool(std::string_view)> on_body) {
  Passing::Shared shared{.on_body = std::move(on_body)};
  loop().step();
  shared.call = client().start(std::move(call), std::make_unique<Passing>(shared));
  wait_until([&shared] { return shared.outcome.has_value(); });
  return std::move(*shared.outcome);
}

void BlockingClient::wait_until(UniqueFunction<bool()> done) {
  while (!done()) loop().step_waiting();
}

}  // namespace v0
}  // namespace cleave
