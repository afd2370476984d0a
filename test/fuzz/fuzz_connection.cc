// SPDX-License-Identifier: MIT
// A whole server in memory, with peers that do anything in any order, on every wire. Whatever they
// do, what they get is well formed, and when they are gone nothing of them is left.
#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cleave/handlers/echo.h"
#include "cleave/handlers/upper.h"
#include "cleave/protocol/bare_reply_decoder.h"
#include "cleave/protocol/utf8.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"
#include "fuzz.h"

using namespace cleave;
using namespace cleave::testing;
using cleave::fuzz::Choices;
using cleave::fuzz::require;

namespace {

// Handlers that are alive; and tokens that nobody has used yet.
struct Held {
  int handlers = 0;
  std::deque<ReplyToken> tokens;
  std::deque<Buffer> buffers;
};

// Keeps everything: its chunks and its token.
class Hoarder final : public Handler {
 public:
  Hoarder(Held& held, ReplyToken token) : held_(held) {
    ++held_.handlers;
    held_.tokens.push_back(std::move(token));
  }
  ~Hoarder() override { --held_.handlers; }
  void on_body(Chunk chunk) override { held_.buffers.push_back(std::move(chunk).keep()); }
  void on_end() override {}

 private:
  Held& held_;
};

// One peer, and what is known of it.
struct Visitor {
  TestPeer peer;
  Wire wire;
  std::string cmd;
  bool gone = false;
  std::unique_ptr<HeaderParser> parser = std::make_unique<HeaderParser>();
  BareReplyDecoder replies{wire == Wire::frame ? Wire::raw : wire, *parser};

  void look_at_replies() {
    if (wire == Wire::frame) return look_at_frames();
    const std::string received = peer.wire().take_received();
    // Where the digits of the wire ready end, only its client knows: it says so.
    if (wire == Wire::ready) return look_at_body(received);
    for (std::string_view input = received;;) {
      const auto event = replies.next(input);
      require(event.has_value(), "a bare reply is one");
      if (std::holds_alternative<BareReplyDecoder::NeedMore>(*event)) return;
      if (const auto* body = std::get_if<BareReplyDecoder::Body>(&*event)) {
        look_at_body(body->bytes);
      }
    }
  }

  void look_at_body(std::string_view bytes) const {
    require(cmd != "upper" || std::none_of(bytes.begin(), bytes.end(),
                                           [](char c) { return c >= 'a' && c <= 'z'; }),
            "a bare reply is the command's");
  }

  void look_at_frames() {
    for (const Frame& frame : peer.read_all()) {
      const bool more = frame.header->frame().more;
      const std::string status = frame.text("status");
      require(more ? status.empty() : status == "ok" || status == "error",
              "a reply's last frame has a status, and no other has");
      require(status != "error" || errc_from(frame.text("code")), "an error has a code");
      require(status != "error" || !frame.text("message").empty(), "an error has a sentence");
    }
  }
};

class World {
 public:
  World() : test_([this](Router& router, Loop&) { add(router); }, {.limits = impatient()}) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    held_.tokens.clear();
    held_.buffers.clear();
  }

  void run(Choices& input) {
    connect(Wire::frame);
    while (!input.empty()) act(input);
    leave();
  }

 private:
  // Every time limit passes within seconds, as an hour of the clock costs as much as a minute of
  // fuzzing.
  static Limits impatient() {
    Limits limits;
    limits.header_timeout_ms = 500;
    limits.idle_timeout_ms = 1'000;
    limits.write_stall_timeout_ms = 1'000;
    limits.discard_timeout_ms = 500;
    limits.linger_timeout_ms = 500;
    limits.cancel_grace_ms = 250;
    return limits;
  }

  void add(Router& router) {
    add_echo(router);
    add_upper(router);
    router.add("twice", {.summary = "the body, twice", .body_bytes = 64},
               collected([](const Request& request, std::string_view body,
                            ReplyWriter& reply) -> Result<void> {
                 if (body == "fail") return fail(Errc::not_found, "as it was asked for");
                 if (body == "throw") throw 1;
                 reply.set("id_was", request.has_id()).append(body).append(body);
                 return {};
               }));
    router.add("hoard", {.summary = "keeps everything"},
               streaming([this](const Request&, ReplyToken token) {
                 return std::make_shared<Hoarder>(held_, std::move(token));
               }));
    router.add("keep", {.summary = "keeps its token"},
               later([this](const Request&, Buffer body, ReplyToken token) {
                 held_.buffers.push_back(std::move(body));
                 held_.tokens.push_back(std::move(token));
               }));
    router.add("old",
               {.summary = "has a body rule, and may be one-way",
                .body_rule = [](const Header& header) -> Result<BodyRule> {
                  const auto size = header.integer("size", 0, 1'000'000);
                  if (!size) return fail(size.error());
                  return BodyRule{static_cast<std::uint64_t>(*size), true};
                }},
               streaming([this](const Request&, ReplyToken token) {
                 return std::make_shared<Hoarder>(held_, std::move(token));
               }));
  }

  void connect(Wire wire) {
    constexpr std::array<const char*, 3> kCommands = {"twice", "keep", "upper"};
    const char* cmd = kCommands[visitors_.size() % kCommands.size()];
    visitors_.push_back(
        {test_.connect({.wire = wire, .cmd = wire == Wire::frame ? "" : cmd}), wire, cmd});
  }

  void send_frame(Choices& input, MemoryPeer& wire) {
    constexpr std::array<const char*, 8> kHeads = {
        R"({"cmd":"echo")", R"({"cmd":"upper")",  R"({"cmd":"twice")", R"({"cmd":"hoard")",
        R"({"cmd":"keep")", R"({"cmd":"nobody")", R"({"cmd":"old")",   R"({"x":1)"};
    const std::uint8_t shape = input.byte();
    std::string header = kHeads[shape & 7U];
    if ((shape & 8U) != 0) header += ",\"id\":" + std::to_string(input.byte() & 7U);
    if ((shape & 16U) != 0) header += ",\"more\":true";
    if ((shape & 32U) != 0) header += ",\"timeout_ms\":" + std::to_string(input.number(2));
    if ((shape & 7U) == 6) header += ",\"size\":" + std::to_string(input.byte());
    std::string body(input.bytes(input.byte()));
    if ((shape & 128U) != 0) body.append(std::size_t{100} * 1024, 'b');
    if ((shape & 64U) != 0) header += ",\"data_size\":" + std::to_string(body.size());
    wire.send(frame_bytes(header + "}", body));
  }

  void act(Choices& input) {
    const std::uint8_t what = input.byte();
    Visitor& visitor = visitors_[(what >> 4U) % visitors_.size()];
    MemoryPeer& wire = visitor.peer.wire();
    switch (what & 15U) {
      case 0:
      case 1:
        return wire.send(input.bytes(input.byte()));
      case 2:
      case 3:
      case 4:
        return send_frame(input, wire);
      case 5:
        return wire.send("recv_ready");
      case 6:
        return wire.send_end();
      case 7:
        visitor.gone = true;
        return wire.reset();
      case 8:
        return wire.set_room(input.number(2));
      case 9:
        return wire.set_room(std::size_t{1} << 30U);
      case 10:
        return test_.advance(Millis(10 * input.byte()));
      case 11:
        test_.settle();
        return visitor.look_at_replies();
      case 12:
        if (visitors_.size() < 6) connect(static_cast<Wire>(input.byte() % 5U));
        return;
      case 13:
        if (held_.tokens.empty()) return;
        std::move(held_.tokens.front()).ok({}, Buffer::copy_of("answered"));
        return held_.tokens.pop_front();
      case 14:
        if (!held_.tokens.empty()) held_.tokens.pop_front();
        if (!held_.buffers.empty()) held_.buffers.pop_front();
        return;
      default:
        return send_frame(input, wire);
    }
  }

  // Everybody goes, in the way that leaves most to the server's own patience.
  void leave() {
    test_.settle();
    for (Visitor& visitor : visitors_) {
      if (!visitor.gone) visitor.look_at_replies();
      visitor.peer.wire().set_room(std::size_t{1} << 30U);
      visitor.peer.wire().send_end();
    }
    // Each answer may let the next request in, which is held again.
    for (int i = 0; i < 8 || !held_.tokens.empty(); ++i) {
      held_.tokens.clear();
      held_.buffers.clear();
      test_.advance(Millis(1'000));
      for (Visitor& visitor : visitors_) {
        if (!visitor.gone) visitor.look_at_replies();
      }
    }
    require(test_.server()->connections() == 0, "a peer that has gone is forgotten");
    require(held_.handlers == 0, "no handler outlives its request");
    for (Visitor& visitor : visitors_) {
      require(visitor.peer.wire().closed(), "a connection that has ended is closed");
    }
  }

  Held held_;
  TestServer test_;
  std::vector<Visitor> visitors_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4'096) return 0;
  Choices input(data, size);
  World world;
  world.run(input);
  return 0;
}
