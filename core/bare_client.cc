// SPDX-License-Identifier: MIT
#include "cleave/core/bare_client.h"

#include <string>
#include <utility>
#include <variant>

#include "cleave/core/connect.h"
#include "cleave/core/link.h"
#include "cleave/core/reply_error.h"
#include "cleave/protocol/bare_reply_decoder.h"

namespace cleave {
inline namespace v0 {

// Writes messages as they are, and cuts what comes back into replies.
class BareClientCore final : public LinkOwner {
 public:
  BareClientCore(Loop& loop, std::unique_ptr<Stream> stream, Wire wire,
                 const ClientOptions& options)
      : loop_(loop),
        wire_(wire),
        parser_(options.header),
        link_options_{.window_bytes = options.window_bytes,
                      .output_bytes = options.output_bytes,
                      .header_bytes = options.header.header_bytes,
                      .reads_when_full = true},
        link_(loop, std::move(stream), *this, link_options_),
        decoder_(wire, parser_) {
    link_.start();
  }

  void ask(Buffer message, std::unique_ptr<ReplyHandler> handler,
           std::optional<std::uint64_t> reply_size);
  [[nodiscard]] bool connected() const noexcept { return !link_.closed() && !closing_; }
  // Ends the connection, and with it the reply that is under way.
  void close(Result<void> outcome, bool reset);

 private:
  bool wants_input() override { return true; }
  bool on_input(std::string_view& input) override;
  void on_input_end() override;
  void on_hangup() override {}
  void on_gone(Gone why, std::string_view detail) override;
  void on_output_room() override {}
  void on_shut() override {
    if (closing_) link_.close(false);
  }

  void on_head(const BareReplyDecoder::Head& head);
  void on_end(std::string_view behind);
  [[nodiscard]] std::string shortfall() const;

  Loop& loop_;
  Wire wire_;
  HeaderParser parser_;
  const LinkOptions link_options_;
  Link link_;
  BareReplyDecoder decoder_;
  // Of the reply that is awaited; shared with the call that is being made to it, as that may end
  // the connection.
  std::shared_ptr<ReplyHandler> handler_;
  Ref<const Header> header_;
  bool closing_ = false;  // when all output has left
};

void BareClientCore::ask(Buffer message, std::unique_ptr<ReplyHandler> handler,
                         std::optional<std::uint64_t> reply_size) {
  std::optional<Error> refusal;
  if (!connected()) {
    refusal = {Errc::unavailable, "the connection has ended"};
  } else if (handler_) {
    refusal = {Errc::failed_precondition,
               "the last reply is still under way, and a bare wire carries one at a time"};
  } else if (message.empty()) {
    refusal = {Errc::invalid_argument, "an empty message cannot be sent on a stream"};
  }
  if (refusal) {
    return loop_.post([handler = std::move(handler), error = std::move(*refusal)]() mutable {
      handler->on_end(fail(std::move(error)), nullptr);
    });
  }
  handler_ = std::move(handler);
  decoder_.expect(reply_size);
  link_.append(std::move(message));
  if (decoder_.ends_with_input()) link_.shutdown_write();
}

bool BareClientCore::on_input(std::string_view& input) {
  if (!handler_) {
    if (!input.empty()) link_.close(true);  // nobody has asked for it
    return false;
  }
  Result<BareReplyDecoder::Event> event = decoder_.next(input);
  if (!event) {
    close(fail(Errc::protocol_error, "the server's reply makes no sense: " + event.error().message),
          true);
    return false;
  }
  if (std::holds_alternative<BareReplyDecoder::NeedMore>(*event)) return false;
  if (const auto* head = std::get_if<BareReplyDecoder::Head>(&*event)) {
    on_head(*head);
  } else if (const auto* body = std::get_if<BareReplyDecoder::Body>(&*event)) {
    const std::shared_ptr<ReplyHandler> handler = handler_;
    handler->on_body(link_.chunk(body->bytes, body->remaining));
  } else {
    on_end(input);
  }
  return !link_.closed();
}

void BareClientCore::on_head(const BareReplyDecoder::Head& head) {
  if (wire_ == Wire::raw) return;
  if (link_.queued() > 0) {
    // It took what one read of its own brought for a whole message.
    return close(fail(Errc::protocol_error, "the server answered before it had the whole message"),
                 true);
  }
  if (wire_ == Wire::ready) {
    link_.append(kReadyAnswer);
    if (head.size == 0U) {
      closing_ = true;
      link_.shutdown_write();
    }
  }
  if (head.header) {
    header_ = head.header;
    const std::shared_ptr<ReplyHandler> handler = handler_;
    handler->on_frame(*head.header);
  }
}

void BareClientCore::on_end(std::string_view behind) {
  if (!behind.empty()) {
    return close(fail(Errc::protocol_error, "the server sent more bytes than its reply has, " +
                                                std::to_string(behind.size()) + " too many"),
                 true);
  }
  const std::shared_ptr<ReplyHandler> handler = std::move(handler_);
  const Ref<const Header> header = std::move(header_);
  if (header && has_status(*header, "error")) {
    handler->on_end(fail(error_of(*header)), header.get());
  } else {
    handler->on_end({}, header.get());
  }
}

std::string BareClientCore::shortfall() const {
  return handler_ ? ": " + decoder_.shortfall() : "";
}

void BareClientCore::on_input_end() {
  if (handler_ && decoder_.ends_with_input() && link_.queued() == 0) return close({}, false);
  close(fail(Errc::unavailable, "the server closed the connection" + shortfall()), false);
}

void BareClientCore::on_gone(Gone /*why*/, std::string_view detail) {
  close(fail(Errc::unavailable, "the connection broke, " + std::string(detail) + shortfall()),
        true);
}

void BareClientCore::close(Result<void> outcome, bool reset) {
  if (link_.closed()) return;
  const Ref<BareClientCore> guard(this);
  link_.close(reset);
  const std::shared_ptr<ReplyHandler> handler = std::move(handler_);
  const Ref<const Header> header = std::move(header_);
  if (handler) handler->on_end(std::move(outcome), header.get());
}

// ---- BareClient ---------------------------------------------------------------------------------

void BareClient::connect(Loop& loop, std::string_view url, const ClientOptions& options,
                         Connected done) {
  Result<Endpoint> endpoint = Endpoint::parse(url);
  if (endpoint && (endpoint->is_datagram() || endpoint->wire == Wire::frame)) {
    endpoint = fail(Errc::invalid_argument,
                    "a BareClient speaks raw, ready, prefix or header over a stream, and this is " +
                        endpoint->url());
  }
  const Wire wire = endpoint ? endpoint->wire : Wire::raw;
  connect_stream(loop, endpoint, options.connect_timeout,
                 [&loop, wire, options,
                  done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
                   if (!stream) return done(fail(std::move(stream.error())));
                   done(std::make_unique<BareClient>(loop, std::move(*stream), wire, options));
                 });
}

BareClient::BareClient(Loop& loop, std::unique_ptr<Stream> stream, Wire wire,
                       const ClientOptions& options)
    : core_(make_ref<BareClientCore>(loop, std::move(stream), wire, options)) {}

BareClient::~BareClient() {
  core_->close(fail(Errc::unavailable, "the connection was closed here"), false);
}

void BareClient::ask(Buffer message, std::unique_ptr<ReplyHandler> handler,
                     std::optional<std::uint64_t> reply_size) {
  core_->ask(std::move(message), std::move(handler), reply_size);
}
bool BareClient::connected() const noexcept {
  return core_->connected();
}
void BareClient::reset() {
  core_->close(fail(Errc::cancelled, "the connection was reset here"), true);
}

}  // namespace v0
}  // namespace cleave
