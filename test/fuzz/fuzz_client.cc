// SPDX-License-Identifier: MIT
// Clients whose server is the input: it lies about sizes, answers what nobody asked, interleaves,
// stalls and breaks. Every request ends exactly once, nothing is made up, and nothing is left.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cleave/core/bare_client.h"
#include "cleave/core/client.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/members.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/manual_clock.h"
#include "cleave/testing/memory_stream.h"
#include "fuzz.h"

using namespace cleave;
using namespace cleave::testing;
using cleave::fuzz::Choices;
using cleave::fuzz::require;

namespace {

constexpr std::uint64_t kGathered = 512;

// A reply that was taken as whole.
struct Whole {
  std::uint64_t id = 0;
  std::string header;  // on the wire header
  std::string body;
};

// What has become of the requests.
struct Tally {
  std::size_t asked = 0;
  std::size_t ended = 0;
  std::size_t handlers = 0;  // that are alive
  std::vector<Whole> whole;  // the good ones, and on the wire header the server's errors

  void count(const Result<void>& outcome) {
    ++ended;
    require(ended <= asked, "a request ends once");
    require(outcome || !outcome.error().message.empty(), "an error has a sentence");
  }
};

// Sees a reply as it comes, keeps some of it, and does what the input says when it ends.
class Handling final : public ReplyHandler {
 public:
  Handling(Tally& tally, std::uint64_t id, std::vector<Buffer>& kept,
           std::function<void(Whole reply, bool good)> at_end)
      : tally_(tally), kept_(kept), at_end_(std::move(at_end)), reply_{id, {}, {}} {
    ++tally_.handlers;
  }
  ~Handling() override { --tally_.handlers; }
  void on_frame(const Header& header) override {
    require(!ended_, "no frame comes behind the end");
    reply_.header = header.json();
  }
  void on_body(Chunk chunk) override {
    require(!ended_, "no body comes behind the end");
    require(chunk.size() > 0, "a piece of a body is not empty");
    reply_.body += chunk.bytes();
    if (chunk.size() % 3 == 0) kept_.push_back(std::move(chunk).keep());
  }
  void on_end(Result<void> outcome, const Header* /*header*/) override {
    require(!std::exchange(ended_, true), "a reply ends once");
    tally_.count(outcome);
    at_end_(std::move(reply_), outcome.has_value());
  }

 private:
  Tally& tally_;
  std::vector<Buffer>& kept_;
  std::function<void(Whole reply, bool good)> at_end_;
  Whole reply_;
  bool ended_ = false;
};

// A client in memory, and the far end of its stream.
class World {
 public:
  explicit World(Wire wire) : wire_(wire) {
    MemoryStream::Pair pair = MemoryStream::make(*loop_);
    server_.emplace(std::move(pair.peer));
    if (wire == Wire::frame) {
      client_ = std::make_unique<Client>(*loop_, std::move(pair.stream),
                                         ClientOptions{.window_bytes = 4'096,
                                                       .output_bytes = 4'096,
                                                       .frame_bytes = 1'024,
                                                       .collected_reply_bytes = kGathered});
      client_->on_close([this](const Error& error) {
        require(!std::exchange(told_, true), "the end of a connection is told once");
        require(!error.message.empty(), "with a sentence");
      });
    } else {
      bare_ = std::make_unique<BareClient>(*loop_, std::move(pair.stream), wire,
                                           ClientOptions{.window_bytes = 4'096});
    }
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() = default;

  void run(Choices& input) {
    while (!input.empty()) act(input);
    settle();
    leave();
  }

 private:
  void settle() {
    for (int i = 0; i < 24; ++i) loop_->step();
  }

  // ---- The client ----

  void ask(Choices& input) {
    const std::uint8_t how = input.byte();
    if (tally_.asked > 64) return;
    ++tally_.asked;
    if (bare_) return ask_bare(how);
    if (!client_) {
      ++tally_.ended;
      return;
    }
    Call call{.cmd = "echo", .members = {}, .body = body_of(how), .timeout = {}};
    if (how % 8 == 7) return ask_one_way(std::move(call));
    if (how % 8 == 6) return gather(std::move(call));
    calls_.push_back(client_->start(std::move(call), handling(how)));
  }

  static Body body_of(std::uint8_t how) {
    if ((how & 8U) != 0) return Buffer::own(std::string(10'000, 'b'));
    if ((how & 16U) == 0) return Buffer::copy_of("hello");
    const auto relay = std::make_shared<Relay>();  // of a size that nobody knows
    relay->push(Buffer::copy_of("some"));
    if ((how & 32U) != 0) relay->finish();
    return std::shared_ptr<Source>(relay);
  }

  // Of a request that is about to be sent: ids are given in order. Behind finish() it is refused.
  std::uint64_t next_id() {
    if (finished_) ++refused_;
    return ++ids_;
  }

  std::unique_ptr<ReplyHandler> handling(std::uint8_t how) {
    return std::make_unique<Handling>(
        tally_, next_id(), kept_, [this, what = how >> 6U](Whole reply, bool good) {
          if (client_ && client_->connected()) ++ended_alive_;
          require(
              wire_ != Wire::ready || !good || !reply.body.empty() || !bare_ || !bare_->connected(),
              "no message follows an empty reply on the wire ready");
          const bool said = bare_ && bare_->connected() && !reply.header.empty();
          if (good || said) tally_.whole.push_back(std::move(reply));
          at_end(what);
        });
  }

  // From inside a call of the client.
  void at_end(int what) {
    if (what == 1) reset();
    if (what == 2) drop_client();
    if (what == 3 && (client_ || bare_) && tally_.asked <= 64) {
      ++tally_.asked;
      if (bare_) return ask_bare(0);
      calls_.push_back(client_->start({.cmd = "again"}, handling(0)));
    }
  }

  void gather(Call call) {
    calls_.push_back(client_->call(std::move(call), [this, id = next_id()](Result<Answer> answer) {
      tally_.count(answer ? Result<void>() : Result<void>(fail(answer.error())));
      if (client_ && client_->connected()) ++ended_alive_;
      if (!answer) {
        cancels_ += answer.error().code == Errc::too_large ? 1 : 0;  // it has called that off
        return;
      }
      require(answer->body.size() <= kGathered, "no more is gathered than allowed");
      tally_.whole.push_back({id, {}, answer->body});
    }));
  }

  void ask_one_way(Call call) {
    client_->start_one_way(std::move(call),
                           [this](const Result<void>& outcome) { tally_.count(outcome); });
  }

  void ask_bare(std::uint8_t how) {
    const std::string message((how & 8U) != 0 ? 10'000 : how % 4U, 'm');
    std::optional<std::uint64_t> size;
    if ((how & 4U) != 0) size = 1 + (how >> 4U) % 4U;
    bare_->ask(Buffer::copy_of(message), handling(how), size);
  }

  void reset() {
    if (client_) client_->reset();
    if (bare_) bare_->reset();
  }
  void drop_client() {
    client_.reset();
    bare_.reset();
  }

  // ---- The server ----

  void send(std::string_view bytes) {
    server_->send(bytes);
    sent_.append(bytes);
    piece_ends_.insert(sent_.size());
  }

  void send_frame(Choices& input) {
    const std::uint8_t shape = input.byte();
    std::string header = "{\"x\":1";
    if ((shape & 1U) != 0) header += ",\"id\":" + std::to_string(input.byte() & 15U);
    if ((shape & 2U) != 0) header += ",\"more\":true";
    if ((shape & 4U) != 0) header += ",\"status\":\"ok\"";
    if ((shape & 8U) != 0) header += R"(,"status":"error","code":"busy","message":"no")";
    std::string body(input.bytes(input.byte()));
    if ((shape & 16U) != 0) body.append(5'000, 'r');
    // One in eight of the sizes is a lie.
    const std::uint64_t size = (shape >> 5U) == 7 ? input.number(2) : body.size();
    header += ",\"data_size\":" + std::to_string(size) + "}";
    const std::string bytes = frame_bytes(header, body);
    const std::size_t cut = (shape >> 5U) == 6 ? input.byte() : bytes.size();
    send(bytes.substr(0, cut));
    if (cut < bytes.size()) send(bytes.substr(cut));
  }

  void act(Choices& input) {
    const std::uint8_t what = input.byte();
    switch (what & 15U) {
      case 0:
      case 1:
        return ask(input);
      case 2:
      case 3:
      case 4:
        return send_frame(input);
      case 5:
        return send(input.bytes(input.byte()));
      case 6:
        return send(length_bytes(static_cast<std::uint32_t>(input.number(1 + (what >> 4U) % 4))));
      case 7:
        return send(std::to_string(input.number(1 + (what >> 4U) % 8)));
      case 8:
        return server_->send_end();
      case 9:
        return server_->reset();
      case 10:
        return server_->set_room((what & 16U) != 0 ? std::size_t{1} << 30U : input.number(2));
      case 11:
        ++cancels_;
        if (!calls_.empty()) calls_[input.byte() % calls_.size()].cancel();
        return;
      case 12:
        finished_ = true;
        if (client_) client_->finish();
        return;
      case 13:
        if ((what >> 4U) == 15) return drop_client();
        if ((what >> 4U) == 14) return reset();
        return kept_.clear();
      default:
        return settle();
    }
  }

  void leave() {
    drop_client();
    kept_.clear();
    settle();
    if (wire_ == Wire::frame) look_at_frames();
    if (wire_ != Wire::frame && wire_ != Wire::ready) look_at_bare_replies();
    require(server_->closed(), "a client that has gone leaves no connection");
    require(tally_.ended == tally_.asked, "every request has ended");
    calls_.clear();
    require(tally_.handlers == 0, "no handler outlives its reply");
  }

  // The server's replies, as its frames make them: the bodies of one up to its last frame.
  struct Sent {
    std::size_t last_frames = 0;
    std::multimap<std::uint64_t, std::string> good;
  };
  [[nodiscard]] Sent replies_sent() const {
    static HeaderParser parser;
    Decoder decoder(parser);
    Sent sent;
    std::map<std::uint64_t, std::string> begun;
    Ref<const Header> header;
    for (std::string_view input = sent_;;) {
      const auto event = decoder.next(input);
      if (!event || std::holds_alternative<Decoder::NeedMore>(*event)) return sent;
      if (const auto* head = std::get_if<Decoder::Head>(&*event)) header = head->header;
      const FrameHead& frame = header->frame();
      if (!frame.id) continue;
      std::string& all = begun[*frame.id];
      if (const auto* body = std::get_if<Decoder::Body>(&*event)) all += body->bytes;
      if (!std::holds_alternative<Decoder::End>(*event) || frame.more) continue;
      ++sent.last_frames;
      if (header->string_or("status", "").value_or("") == "ok") sent.good.emplace(*frame.id, all);
      all.clear();
    }
  }

  // Of a reply that had begun before it was asked for, the client has seen the end.
  void look_at_frames() const {
    const Sent sent = replies_sent();
    require(ended_alive_ <= sent.last_frames + cancels_ + refused_,
            "a reply ends with its last frame");
    if (cancels_ > 0) return;  // those have ids, too
    for (const Whole& good : tally_.whole) {
      const auto [from, to] = sent.good.equal_range(good.id);
      require(std::any_of(from, to,
                          [&](const auto& reply) { return reply.second.ends_with(good.body); }),
              "a good reply is one that was sent to it");
    }
  }

  // One behind the other, from the first byte on; and none has anything behind it that came with
  // its end.
  void look_at_bare_replies() const {
    std::size_t at = 0;
    for (const Whole& reply : tally_.whole) {
      std::string bytes = reply.body;
      if (wire_ == Wire::header) bytes = frame_bytes(reply.header, reply.body);
      if (wire_ == Wire::prefix) {
        bytes = length_bytes(static_cast<std::uint32_t>(bytes.size())) + bytes;
      }
      require(sent_.substr(at).starts_with(bytes), "a whole reply is the one that was sent");
      at += bytes.size();
      require(at == 0 || piece_ends_.contains(at), "a whole reply has nothing behind it");
    }
  }

  Wire wire_;
  ManualClock clock_;
  std::unique_ptr<Loop> loop_ = Loop::create({.clock = &clock_}).value();
  std::optional<MemoryPeer> server_;
  Tally tally_;
  std::vector<Buffer> kept_;
  std::vector<CallHandle> calls_;
  std::uint64_t ids_ = 0;
  std::size_t cancels_ = 0;
  std::size_t refused_ = 0;
  bool finished_ = false;
  std::size_t ended_alive_ = 0;  // while the connection was
  std::string sent_;
  std::set<std::size_t> piece_ends_;
  bool told_ = false;
  std::unique_ptr<Client> client_;
  std::unique_ptr<BareClient> bare_;
};

}  // namespace

// The first byte chooses the wire.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4'096) return 0;
  Choices input(data, size);
  World world(static_cast<Wire>(input.byte() % 5U));
  world.run(input);
  return 0;
}
