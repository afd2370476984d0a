// SPDX-License-Identifier: MIT
// What a message costs in instructions. Run by bench/instructions under callgrind, which makes a
// dump behind each loop that is counted; the script divides by the messages that are told here.
//
// Times differ from one minute to the next on the same machine, counts hardly ever do: a message
// that became dearer by a twentieth shows, whoever else is at work.
//
// Everything is counted that happens in a loop, also what stands for the network there. Of the
// echoes it is counted once more by itself, as the stream alone, for the script to take away.
#include <valgrind/callgrind.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cleave/core/interceptor.h"
#include "cleave/core/loop.h"
#include "cleave/core/recycled.h"
#include "cleave/core/router.h"
#include "cleave/core/stream.h"
#include "cleave/handlers/echo.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"
#include "cleave/protocol/header.h"
#include "cleave/testing/memory_stream.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

constexpr std::size_t kAtOnce = 16;  // messages that come in one read
constexpr std::size_t kBatches = 125;
constexpr std::size_t kMessages = kBatches * kAtOnce;
constexpr std::size_t kBodyBytes = 64;

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "bench_instructions: %s\n", what);
  std::exit(1);
}

enum class Ids { none, counting };

// Reads of kAtOnce requests each. Numbers that count have one width, so that all are alike.
std::vector<std::string> requests(std::string_view cmd, Ids ids) {
  std::vector<std::string> reads(kBatches);
  std::uint64_t id = 10'000;
  for (std::string& read : reads) {
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      OutgoingHead head{.cmd = cmd, .data_size = kBodyBytes};
      if (ids == Ids::counting) head.id = id++;
      check(append_head(read, head).has_value(), "a request was too large");
      read.append(kBodyBytes, 'x');
    }
  }
  return reads;
}

// `pass` handles kMessages; the first time warms what is kept for later.
void count(const char* name, const std::function<void()>& pass) {
  pass();
  CALLGRIND_ZERO_STATS;
  pass();
  CALLGRIND_DUMP_STATS_AT(name);
  std::printf("%s %zu\n", name, kMessages);
}

void count_decoder(const char* name, Ids ids) {
  const std::vector<std::string> reads = requests("echo", ids);
  HeaderParser parser;
  Decoder decoder(parser);
  count(name, [&] {
    std::size_t frames = 0;
    for (std::string_view rest : reads) {
      for (;;) {
        const Result<Decoder::Event> event = decoder.next(rest);
        check(event.has_value(), "a request was no frame");
        if (std::holds_alternative<Decoder::NeedMore>(*event)) break;
        if (std::holds_alternative<Decoder::End>(*event)) ++frames;
      }
    }
    check(frames == kMessages, "a frame was lost");
  });
}

void count_encoder(const char* name) {
  std::string out;
  count(name, [&] {
    for (std::uint64_t id = 10'000; id < 10'000 + kMessages; ++id) {
      out.clear();
      check(append_head(out, {.id = id, .data_size = kBodyBytes, .status = "ok"}).has_value(),
            "a reply was too large");
    }
  });
}

void count_exchange(const char* name, Loop& loop, MemoryPeer& peer,
                    const std::vector<std::string>& reads) {
  count(name, [&] {
    for (const std::string& read : reads) {
      peer.send(read);
      // A turn, or a few, lie between a request and its reply, and without an id between all of
      // them.
      for (std::size_t turn = 0;
           turn < 4 * kAtOnce && peer.received().size() < kAtOnce * kBodyBytes; ++turn) {
        loop.step();
      }
      check(peer.take_received().size() >= kAtOnce * kBodyBytes, "a reply did not come");
    }
  });
}

// An echo as it is where nothing but a streaming handler is given.
class PassOnPieces final : public Handler {
 public:
  PassOnPieces(const Request& request, ReplyToken token)
      : reply_(make_recycled<Relay>(request.body_size())) {
    std::move(token).ok({}, std::shared_ptr<Source>(reply_));
  }
  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()); }
  void on_end() override { reply_->finish(); }

 private:
  std::shared_ptr<Relay> reply_;
};

// Lets everybody in.
class Passing final : public Interceptor {
 public:
  Result<void> before(Request& request) override {
    seen_ += request.cmd().size();
    return {};
  }
  void after(const Request& /*request*/, const Observer::Served& served) override {
    seen_ += served.body_out;
  }

 private:
  std::uint64_t seen_ = 0;
};

void count_echo(const char* name, std::string_view cmd, Ids ids,
                std::vector<Interceptor*> interceptors = {}) {
  const auto add = [](Router& router, Loop& loop) {
    add_echo(router);
    router.add("collected", {.summary = "replies with the body"},
               collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<> {
                 reply.append(body);
                 return {};
               }));
    router.add("streaming", {.summary = "replies with the body"},
               streaming([](const Request& request, ReplyToken token) {
                 return make_recycled<PassOnPieces>(request, std::move(token));
               }));
    router.add("later", {.summary = "replies with the body, in a later turn"},
               later([&loop](const Request&, Buffer body, ReplyToken token) {
                 loop.post([token = std::move(token), body = std::move(body)]() mutable {
                   std::move(token).ok({}, std::move(body));
                 });
               }));
  };
  TestServer test(add, {.interceptors = std::move(interceptors)});
  TestPeer peer = test.connect();
  count_exchange(name, test.loop(), peer.wire(), requests(cmd, ids));
}

// What comes goes back as it is, in one write, which is how the stream is used by a connection.
class Mirror final : public Stream::Events {
 public:
  explicit Mirror(std::unique_ptr<Stream> stream) : stream_(std::move(stream)), block_(65'536, 0) {
    stream_->set_events(this);
    stream_->watch({.read = true});
  }
  void on_ready(bool /*readable*/, bool /*writable*/) override {
    const Stream::Moved read = stream_->read(block_);
    const std::string_view bytes(block_.data(), read.bytes);
    check(stream_->write({&bytes, 1}).bytes == read.bytes, "a write was cut");
  }
  void on_hangup(bool /*gone*/) override {}

 private:
  std::unique_ptr<Stream> stream_;
  std::vector<char> block_;
};

void count_stream(const char* name) {
  const auto loop = Loop::create().value();
  MemoryStream::Pair pair = MemoryStream::make(*loop);
  const Mirror mirror(std::move(pair.stream));
  count_exchange(name, *loop, pair.peer, requests("echo", Ids::none));
}

}  // namespace

int main() {
  count_decoder("decoder_repeated_header", Ids::none);
  count_decoder("decoder_counting_id", Ids::counting);
  count_encoder("encoder_ok_reply");
  count_stream("stream_alone");
  count_echo("echo_collected_repeated_header", "collected", Ids::none);
  count_echo("echo_collected_counting_id", "collected", Ids::counting);
  count_echo("echo_built_in_repeated_header", "echo", Ids::none);
  count_echo("echo_built_in_counting_id", "echo", Ids::counting);
  count_echo("echo_streaming_repeated_header", "streaming", Ids::none);
  count_echo("echo_streaming_counting_id", "streaming", Ids::counting);
  count_echo("echo_later_repeated_header", "later", Ids::none);
  count_echo("echo_later_counting_id", "later", Ids::counting);
  Passing passing;
  count_echo("echo_intercepted_repeated_header", "collected", Ids::none, {&passing});
  count_echo("echo_intercepted_counting_id", "collected", Ids::counting, {&passing});
}
