// SPDX-License-Identifier: MIT
// A short request that has come as a whole is answered without much ado, once its header is known.
// Nobody can tell the difference.

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cleave/core/metrics.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/manual_clock.h"
#include "cleave/testing/memory_stream.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

std::string json_of(const Frame& frame) {
  return std::string(frame.header->json());
}

// Tokens that were kept; destroyed before the server is.
using Held = std::vector<ReplyToken>;

void add_commands(Router& router, Held& held) {
  const auto add = [&router](const std::string& name, CollectedFunction function) {
    router.add(name, {.summary = name}, collected(std::move(function)));
  };
  add("echo", [](const Request& request, std::string_view body, ReplyWriter& reply) -> Result<> {
    reply.set("has_id", request.has_id()).append(body);
    return {};
  });
  add("fail", [](const Request&, std::string_view, ReplyWriter& reply) -> Result<> {
    reply.set("half", 1).append("half");
    return fail(Errc::not_found, "there is nothing here");
  });
  add("throw", [](const Request&, std::string_view, ReplyWriter& reply) -> Result<> {
    reply.append("half");
    throw std::runtime_error("it broke");
  });
  add("throw_other",
      [](const Request&, std::string_view, ReplyWriter&) -> Result<> { throw 5; });  // NOLINT
  add("wide", [](const Request&, std::string_view, ReplyWriter& reply) -> Result<> {
    reply.set("wide", std::string(70'000, 'x'));
    return {};
  });
  router.add("bodiless", {.summary = "no body", .takes_body = false},
             collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<> {
               reply.set("bytes", body.size());
               return {};
             }));
  router.add(
      "between",
      {.summary = "an argument",
       .arguments =
           {{.name = "n", .type = Argument::Type::integer, .required = true, .min = 1, .max = 5}}},
      collected([](const Request& request, std::string_view, ReplyWriter& reply) -> Result<> {
        reply.set("n", request.integer("n", 1, 5).value());
        return {};
      }));
  router.add("small", {.summary = "a limit", .body_bytes = 3},
             collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<> {
               reply.append(body);
               return {};
             }));
  router.add("hold", {.summary = "answers later"},
             later([&held](const Request&, Buffer, ReplyToken token) {
               held.push_back(std::move(token));
             }));
}

std::string request(const std::string& cmd, const std::string& more, std::string_view body) {
  return frame_bytes(
      "{\"cmd\":\"" + cmd + "\",\"data_size\":" + std::to_string(body.size()) + more + "}", body);
}

// A server with those commands, and a peer of it.
struct Served {
  explicit Served(ServerOptions options = {})
      : test([this](Router& router, Loop&) { add_commands(router, held); }, options),
        peer(test.connect()) {}
  ~Served() { held.clear(); }

  std::vector<Frame> ask(const std::string& bytes) {
    peer.wire().send(bytes);
    test.settle();
    return peer.read_all();
  }

  Held held;
  TestServer test;
  TestPeer peer;
};

}  // namespace

TEST_CASE("the answer is the same when the header is known, whatever the handler does") {
  for (const std::string cmd :
       {"echo", "fail", "throw", "throw_other", "wide", "bodiless", "small", "nobody", "between"}) {
    for (const std::string more :
         {"", ",\"id\":7", ",\"timeout_ms\":1000", ",\"n\":5", ",\"n\":9"}) {
      CAPTURE(cmd);
      CAPTURE(more);
      Served served;
      std::string first;
      for (int i = 0; i < 4; ++i) {
        const std::vector<Frame> frames = served.ask(request(cmd, more, "abcd"));
        REQUIRE(frames.size() == 1);
        const std::string said = json_of(frames[0]) + frames[0].body;
        if (i == 0) first = said;
        CHECK(said == first);
      }
    }
  }
}

TEST_CASE("a reply that takes from the request's body is what was written, whoever holds it") {
  const auto serve = [](std::size_t size, CollectedFunction function) {
    TestServer test([&](Router& router, Loop&) {
      router.add("ask", {.summary = "asks"}, collected(std::move(function)));
    });
    TestPeer peer = test.connect();
    std::string body;
    for (std::size_t i = 0; i < size; ++i) body += static_cast<char>('a' + i % 26);
    peer.wire().set_room(0);  // so that it waits
    for (int i = 0; i < 3; ++i) peer.wire().send(request("ask", "", body));
    test.settle();
    peer.wire().set_room(1 << 20);
    test.settle();
    const std::vector<Frame> frames = peer.read_all();
    REQUIRE(frames.size() == 3);
    CHECK(frames[0].body == frames[1].body);
    CHECK(frames[1].body == frames[2].body);
    return std::pair(body, frames[2].body);
  };
  for (const std::size_t size : {4U, 5'000U, 20'000U}) {
    CAPTURE(size);
    auto [body, said] = serve(size, [](const Request&, std::string_view all, ReplyWriter& reply) {
      reply.append(all);
      return Result<>();
    });
    CHECK(said == body);
    std::tie(body, said) =
        serve(size, [](const Request&, std::string_view all, ReplyWriter& reply) {
          reply.append(all.substr(1)).append("-").append(all);
          return Result<>();
        });
    CHECK(said == body.substr(1) + "-" + body);
    std::tie(body, said) =
        serve(size, [](const Request&, std::string_view all, ReplyWriter& reply) {
          reply.append(all);
          reply.body().back() = '!';
          return Result<>();
        });
    CHECK(said == body.substr(0, size - 1) + "!");
    std::tie(body, said) =
        serve(size, [](const Request&, std::string_view all, ReplyWriter& reply) {
          reply.append("+").append(all);
          return Result<>();
        });
    CHECK(said == "+" + body);
  }
}

TEST_CASE("a known header's request is answered alike however its bytes come") {
  const std::string one = request("echo", ",\"id\":1", "abcd");
  const std::string two = request("fail", "", "xy");
  const std::string bytes = one + one + two + one + two;
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    CAPTURE(cut);
    Served served;
    std::vector<Frame> frames = served.ask(bytes.substr(0, cut));
    for (Frame& frame : served.ask(bytes.substr(cut))) frames.push_back(std::move(frame));
    REQUIRE(frames.size() == 5);
    for (const std::size_t i : {0U, 1U, 3U}) CHECK(frames[i].body == "abcd");
    for (const std::size_t i : {2U, 4U}) CHECK(frames[i].header->string("code") == "not_found");
  }
}

TEST_CASE("long headers are looked up each time, and do not get in the way of others") {
  Served served;
  const std::string pad = ",\"pad\":\"" + std::string(5'000, 'x') + "\"";
  for (int i = 0; i < 6; ++i) {
    for (const std::string& more : {pad, std::string(",\"id\":3")}) {
      const std::vector<Frame> frames = served.ask(request("echo", more, "abc"));
      REQUIRE(frames.size() == 1);
      CHECK(frames[0].body == "abc");
    }
  }
}

TEST_CASE("an id in use is refused although the header is known") {
  Served served;
  const std::string echo = request("echo", ",\"id\":7", "a");
  REQUIRE(served.ask(echo + echo).size() == 2);
  REQUIRE(served.ask(request("hold", ",\"id\":7", "") + request("echo", ",\"id\":8", "b")).size() ==
          1);
  const std::vector<Frame> frames = served.ask(echo);
  CHECK(frames.empty());  // the one that runs is waited for
  served.held.clear();
  served.test.settle();
  const std::vector<Frame> last = served.peer.read_all();
  REQUIRE(last.size() == 2);
  CHECK(last[0].header->string("code") == "internal");
  CHECK(last[1].header->string("code") == "protocol_error");
}

TEST_CASE("a request without an id waits for the one before it although its header is known") {
  Served served;
  const std::string echo = request("echo", "", "a");
  REQUIRE(served.ask(echo + echo).size() == 2);
  CHECK(served.ask(request("hold", "", "") + echo).empty());
  served.held.clear();
  served.test.settle();
  const std::vector<Frame> frames = served.peer.read_all();
  REQUIRE(frames.size() == 2);
  CHECK(frames[1].body == "a");
}

TEST_CASE("one that answers later does not keep a known header's request waiting") {
  Served served;
  const std::string echo = request("echo", ",\"id\":2", "a");
  REQUIRE(served.ask(echo + echo).size() == 2);
  const std::vector<Frame> frames = served.ask(request("hold", ",\"id\":1", "") + echo);
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].body == "a");
}

TEST_CASE("a handler of a known header may end its connections or its server") {
  for (const bool drains : {true, false}) {
    Server* server = nullptr;
    int calls = 0;
    Metrics metrics;
    std::function<void()> act = [] {};
    TestServer test(
        [&](Router& router, Loop&) {
          router.add("act", {.summary = "acts"},
                     collected([&](const Request&, std::string_view, ReplyWriter& r) -> Result<> {
                       if (++calls == 3) act();
                       r.append("done");
                       return {};
                     }));
        },
        {.observer = &metrics});
    server = test.server();
    bool drained = false;
    act = [&] {
      if (drains) {
        server->drain([&](bool) { drained = true; });
      } else {
        test.destroy_server();
      }
    };
    TestPeer peer = test.connect();
    for (int i = 0; i < 5; ++i) peer.wire().send(request("act", "", ""));
    test.settle();
    CHECK(calls == 3);
    const std::vector<Frame> frames = peer.read_all();
    CHECK(frames.size() >= (drains ? 3U : 0U));
  }
}

TEST_CASE("what is answered at once is observed as anything else") {
  Metrics metrics;
  Served served({.observer = &metrics});
  for (int i = 0; i < 5; ++i) REQUIRE(served.ask(request("echo", "", "abc")).size() == 1);
  for (int i = 0; i < 4; ++i) REQUIRE(served.ask(request("fail", "", "abc")).size() == 1);
  const std::string said = metrics.members().object();
  CHECK(said.find(R"("begun":9,"served":9)") != std::string::npos);
  CHECK(said.find(R"("echo":{"served":5,"errors":{},"body_in":15,"body_out":15)") !=
        std::string::npos);
  CHECK(said.find(R"("fail":{"served":4,"errors":{"not_found":4},"body_in":12,"body_out":0)") !=
        std::string::npos);
}

TEST_CASE("a request that ends its server is seen to end, known or not") {
  for (const int last : {1, 3}) {
    CAPTURE(last);
    Metrics metrics;
    int calls = 0;
    TestServer* world = nullptr;
    TestServer test(
        [&](Router& router, Loop&) {
          router.add("act", {.summary = "acts"},
                     collected([&](const Request&, std::string_view, ReplyWriter&) -> Result<> {
                       if (++calls == last) world->destroy_server();
                       return {};
                     }));
        },
        {.observer = &metrics});
    world = &test;
    TestPeer peer = test.connect();
    for (int i = 0; i < 5; ++i) peer.wire().send(request("act", "", ""));
    test.settle();
    CHECK(calls == last);
    const std::string said = metrics.members().object();
    CAPTURE(said);
    const std::string both = std::to_string(last);
    CHECK(said.find("\"begun\":" + both + ",\"served\":" + both) != std::string::npos);
    CHECK(said.find(R"("cancelled":{"peer_gone":1})") != std::string::npos);
  }
}

TEST_CASE("a request during whose announcement the server ends is not handled, known or not") {
  for (const int last : {1, 3}) {
    CAPTURE(last);
    struct Ending final : Observer {
      void on_request(const Peer&, std::string_view) override {
        if (++begun == last) world->destroy_server();
      }
      void on_served(const Served& served) override {
        ++ended;
        if (served.code) code = served.code;
      }
      void on_close(const Peer&, CloseReason, std::string_view, std::uint64_t,
                    std::uint64_t) override {
        ended_at_close = ended;
      }
      int last = 0;
      int begun = 0;
      int ended = 0;
      int ended_at_close = 0;
      std::optional<Errc> code;
      TestServer* world = nullptr;
    } observer;
    observer.last = last;
    int calls = 0;
    TestServer test(
        [&](Router& router, Loop&) {
          router.add("act", {.summary = "acts"},
                     collected([&](const Request&, std::string_view, ReplyWriter&) -> Result<> {
                       ++calls;
                       return {};
                     }));
        },
        {.observer = &observer});
    observer.world = &test;
    TestPeer peer = test.connect();
    for (int i = 0; i < 5; ++i) peer.wire().send(request("act", "", ""));
    test.settle();
    CHECK(calls == last - 1);
    CHECK(observer.begun == last);
    CHECK(observer.ended == last);
    CHECK(observer.ended_at_close == last);
    CHECK(observer.code == Errc::cancelled);
  }
}

TEST_CASE("bodies that never end are too many for a known header, too") {
  for (const int before : {0, 2}) {
    CAPTURE(before);
    Limits limits;
    limits.max_in_flight = 1;
    Served served({.limits = limits});
    const std::string echo = request("echo", ",\"id\":7", "a");
    for (int i = 0; i < before; ++i) REQUIRE(served.ask(echo).size() == 1);
    for (int id = 1; id <= 4; ++id) {
      const std::string numbered = ",\"more\":true,\"id\":" + std::to_string(10 + id) + "}";
      const std::vector<Frame> frames = served.ask(frame_bytes("{\"cmd\":\"nothing\"" + numbered));
      REQUIRE(frames.size() == 1);
      CHECK(frames[0].header->string("code") == "unknown_command");
    }
    const std::vector<Frame> frames = served.ask(echo);
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].header->string("code") == "protocol_error");
  }
}

TEST_CASE("how long a request took is told alike, known or not") {
  struct Durations final : Observer {
    void on_served(const Served& served) override { all.push_back(served.duration); }
    std::vector<Millis> all;
  } observer;
  ManualClock clock;
  const std::unique_ptr<Loop> loop = Loop::create({.clock = &clock}).value();
  Router router;
  for (const std::string cmd : {"slow", "fail"}) {
    router.add(cmd, {.summary = "takes its time"},
               collected([&clock, cmd](const Request&, std::string_view, ReplyWriter&) -> Result<> {
                 clock.advance(Millis(7));
                 if (cmd == "fail") return fail(Errc::not_found, "nothing");
                 return {};
               }));
  }
  Server server(*loop, router, {.observer = &observer});
  MemoryStream::Pair pair = MemoryStream::make(*loop);
  server.serve(std::move(pair.stream));
  for (int i = 0; i < 3; ++i) pair.peer.send(request("slow", "", "") + request("fail", "", ""));
  for (int i = 0; i < 64; ++i) loop->step();
  CHECK(observer.all == std::vector<Millis>(6, Millis(7)));
}
