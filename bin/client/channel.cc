// SPDX-License-Identifier: MIT
#include "cleave/bin/client/channel.h"

#include <utility>
#include <variant>

namespace cleave::cli {
namespace {

// A streamed reply on its way to the sink.
class Receiver final : public ReplyHandler {
 public:
  explicit Receiver(std::shared_ptr<Pending> pending) : pending_(std::move(pending)) {}
  void on_frame(const Header& header) override {
    pending_->begun = true;
    if (pending_->sink != nullptr) pending_->sink->on_frame(header);
  }
  void on_body(Chunk chunk) override {
    pending_->begun = true;
    ++pending_->pieces;
    if (pending_->sink != nullptr) pending_->sink->on_body(std::move(chunk).keep());
  }
  void on_end(Result<void> result, const Header* header) override {
    pending_->outcome = Outcome{std::move(result), Ref<const Header>(header)};
  }

 private:
  std::shared_ptr<Pending> pending_;
};

class FrameChannel final : public Channel {
 public:
  explicit FrameChannel(ReconnectingClient& client) : client_(client) {}
  void start(Call call, const std::shared_ptr<Pending>& pending) override {
    call_ = client_.start(std::move(call), std::make_unique<Receiver>(pending));
  }
  bool cancel() override {
    call_.cancel();
    return true;
  }
  void reset() override { client_.reset(); }
  bool usable() const override { return true; }

 private:
  ReconnectingClient& client_;
  CallHandle call_;
};

class BareChannel final : public Channel {
 public:
  BareChannel(std::unique_ptr<BareClient> client, Wire wire)
      : client_(std::move(client)), wire_(wire) {}
  void start(Call call, const std::shared_ptr<Pending>& pending) override {
    Buffer& message = std::get<Buffer>(call.body);
    std::optional<std::uint64_t> size;
    // A raw reply does not say its size; echo and upper keep that of the message.
    if (wire_ == Wire::raw && call.cmd != "exec" && !message.empty()) size = message.size();
    client_->ask(std::move(message), std::make_unique<Receiver>(pending), size);
  }
  void reset() override { client_->reset(); }
  bool usable() const override { return client_->connected(); }

 private:
  std::unique_ptr<BareClient> client_;
  Wire wire_;
};

class DatagramChannel final : public Channel {
 public:
  explicit DatagramChannel(std::unique_ptr<DatagramClient> client) : client_(std::move(client)) {}
  void start(Call call, const std::shared_ptr<Pending>& pending) override {
    client_->ask(std::move(call), [pending](Result<Answer> answer) {
      if (!answer) {
        pending->outcome = Outcome{fail(std::move(answer.error()))};
        return;
      }
      if (pending->sink != nullptr) pending->sink->on_body(Buffer::own(std::move(answer->body)));
      pending->outcome = Outcome{{}, std::move(answer->header)};
    });
  }
  void reset() override { client_->cancel(); }
  bool usable() const override { return true; }

 private:
  std::unique_ptr<DatagramClient> client_;
};

}  // namespace

std::unique_ptr<Channel> channel_over(ReconnectingClient& client) {
  return std::make_unique<FrameChannel>(client);
}
std::unique_ptr<Channel> channel_over(std::unique_ptr<BareClient> client, Wire wire) {
  return std::make_unique<BareChannel>(std::move(client), wire);
}
std::unique_ptr<Channel> channel_over(std::unique_ptr<DatagramClient> client) {
  return std::make_unique<DatagramChannel>(std::move(client));
}

}  // namespace cleave::cli
