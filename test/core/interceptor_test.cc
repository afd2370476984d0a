// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cleave/core/datagram_client.h"
#include "cleave/core/metrics.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

using Lines = std::vector<std::string>;

struct User {
  std::string name;
};
struct Attempt {
  int number;
};

// Writes down what it is asked and told, and decides as it was made to.
class Guard final : public Interceptor {
 public:
  using Decision = std::function<Result<void>(Request&)>;

  Guard(std::string name, Lines& lines, Decision decision = {})
      : name_(std::move(name)), lines_(lines), decision_(std::move(decision)) {}

  Result<void> before(Request& request) override {
    lines_.push_back(name_ + " before " + std::string(request.cmd()));
    return decision_ ? decision_(request) : Result<void>();
  }
  void after(const Request& request, const Observer::Served& served) override {
    const User* user = request.attached<User>();
    lines_.push_back(name_ + " after " + std::string(served.cmd) + " " +
                     (served.code ? std::string(to_string(*served.code)) : "ok") + " " +
                     std::to_string(served.body_in) + " " + std::to_string(served.body_out) +
                     (user != nullptr ? " of " + user->name : ""));
    if (then) then();
  }

  std::function<void()> then;  // at the end of after()

 private:
  std::string name_;
  Lines& lines_;
  Decision decision_;
};

class Witness final : public Observer {
 public:
  explicit Witness(Lines& lines) : lines_(lines) {}
  void on_request(const Peer&, std::string_view cmd) override {
    lines_.push_back("begun " + std::string(cmd));
  }
  void on_served(const Served& served) override {
    lines_.push_back("served " + std::string(served.cmd));
  }
  void on_refused(const Peer&, std::string_view cmd, const Error& error) override {
    lines_.push_back("refused " + std::string(cmd) + " " + std::string(to_string(error.code)));
  }

 private:
  Lines& lines_;
};

// Replies with the body as it comes.
class Echo final : public Handler {
 public:
  Echo(const Request& request, ReplyToken token)
      : reply_(std::make_shared<Relay>(request.body_size())) {
    std::move(token).ok({}, std::shared_ptr<Source>(reply_));
  }
  void on_body(Chunk chunk) override { reply_->push(std::move(chunk).keep()); }
  void on_end() override { reply_->finish(); }

 private:
  std::shared_ptr<Relay> reply_;
};

// Commands of every shape. Handlers say whom they know.
struct World {
  explicit World(std::vector<Interceptor*> interceptors, Observer* observer = nullptr,
                 Limits limits = {})
      : test([this](Router& router, Loop&) { add(router); },
             {.limits = limits, .observer = observer, .interceptors = std::move(interceptors)}) {}
  ~World() { tokens.clear(); }

  void add(Router& router) {
    const auto who = [](const Request& request) {
      const User* user = request.attached<User>();
      return user != nullptr ? user->name : std::string("nobody");
    };
    router.add("write", {.summary = "into a writer", .datagram = true},
               collected([this, who](const Request& request, std::string_view body,
                                     ReplyWriter& reply) -> Result<> {
                 ++handled;
                 if (during) during();
                 if (body == "fail") return fail(Errc::not_found, "there is nothing here");
                 if (body == "throw") throw std::runtime_error("on purpose");
                 if (body == "wide") reply.set("wide", std::string(70'000, 'x'));
                 reply.append(who(request));
                 return {};
               }));
    router.add("return", {.summary = "a reply", .datagram = true},
               collected([this, who](const Request& request, std::string_view) -> Result<Reply> {
                 ++handled;
                 return Reply::text(who(request));
               }));
    router.add("stream", {.summary = "as it comes"},
               streaming([this](const Request& request, ReplyToken token) {
                 ++handled;
                 return std::make_shared<Echo>(request, std::move(token));
               }));
    router.add("later", {.summary = "when the test says so"},
               later([this](const Request&, Buffer, ReplyToken token) {
                 ++handled;
                 tokens.push_back(std::move(token));
               }));
    router.add(
        "needs",
        {.summary = "an argument",
         .arguments = {{.name = "n", .type = Argument::Type::integer, .required = true}}},
        collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
    router.add("one_way",
               {.summary = "is never answered",
                .body_rule = [](const Header&) -> Result<BodyRule> {
                  return BodyRule{{}, true};
                }},
               later([this](const Request&, Buffer, ReplyToken token) {
                 ++handled;
                 tokens.push_back(std::move(token));
               }));
  }

  // The replies to a request in a frame of its own.
  std::vector<Frame> ask(TestPeer& peer, const std::string& cmd, const std::string& body = {},
                         const std::string& members = {}) {
    peer.send(
        "{\"cmd\":\"" + cmd + "\",\"data_size\":" + std::to_string(body.size()) + members + "}",
        body);
    test.settle();
    return peer.read_all();
  }

  int handled = 0;
  std::function<void()> during;  // in the handler of `write`
  std::vector<ReplyToken> tokens;
  TestServer test;
};

Result<void> let_in(Request& request) {
  request.attach(User{"ali"});
  return {};
}
Result<void> refuse(Request& /*request*/) {
  return fail(Errc::unauthenticated, "a token is needed");
}

}  // namespace

TEST_CASE("interceptors stand around every handler, in order before it and in reverse behind it") {
  Lines lines;
  Guard first("first", lines, let_in);
  Guard second("second", lines);
  Witness witness(lines);
  World world({&first, &second}, &witness);
  TestPeer peer = world.test.connect();
  for (const std::string cmd : {"write", "return", "stream"}) {
    for (int again = 0; again < 3; ++again) {  // what is known by then is served by a short cut
      for (const std::string id : {"", ",\"id\":7"}) {
        CAPTURE(cmd);
        CAPTURE(again);
        CAPTURE(id);
        const std::vector<Frame> frames = world.ask(peer, cmd, "body", id);
        std::string body;
        for (const Frame& frame : frames) body += frame.body;
        CHECK(body == (cmd == "stream" ? "body" : "ali"));
        REQUIRE(!frames.empty());
        CHECK(frames.back().ok());
        const std::string end =
            " after " + cmd + " ok 4 " + (cmd == "stream" ? "4" : "3") + " of ali";
        CHECK(std::exchange(lines, {}) == Lines{"first before " + cmd, "second before " + cmd,
                                                "begun " + cmd, "served " + cmd, "second" + end,
                                                "first" + end});
      }
    }
  }
}

TEST_CASE("a request that is answered later ends for its interceptors when it is answered") {
  Lines lines;
  Guard guard("guard", lines, let_in);
  World world({&guard});
  TestPeer peer = world.test.connect();
  CHECK(world.ask(peer, "later", "abc").empty());
  CHECK(lines == Lines{"guard before later"});
  std::move(world.tokens.at(0)).ok({}, Buffer::own("done"));
  world.test.settle();
  CHECK(peer.read()->body == "done");
  CHECK(lines == Lines{"guard before later", "guard after later ok 3 4 of ali"});
}

TEST_CASE(
    "an interceptor that refuses answers in the handler's place, and nobody behind it is asked") {
  Lines lines;
  Guard first("first", lines);
  Guard second("second", lines, refuse);
  Guard third("third", lines);
  Witness witness(lines);
  World world({&first, &second, &third}, &witness);
  TestPeer peer = world.test.connect();
  for (const std::string cmd : {"write", "return", "stream", "later"}) {
    for (int again = 0; again < 3; ++again) {
      for (const std::string id : {"", ",\"id\":7"}) {
        CAPTURE(cmd);
        CAPTURE(again);
        const std::vector<Frame> frames = world.ask(peer, cmd, "body", id);
        REQUIRE(frames.size() == 1);
        CHECK(frames[0].text("code") == "unauthenticated");
        CHECK(frames[0].text("message") == "a token is needed");
        CHECK(std::exchange(lines, {}) == Lines{"first before " + cmd, "second before " + cmd,
                                                "refused " + cmd + " unauthenticated",
                                                "second after " + cmd + " unauthenticated 4 0",
                                                "first after " + cmd + " unauthenticated 4 0"});
      }
    }
  }
  CHECK(world.handled == 0);
}

TEST_CASE("of a refused body the rest is dropped, and the connection goes on") {
  Lines lines;
  Guard guard("guard", lines, [](Request& request) {
    return request.has("token") ? Result<void>() : Result<void>(refuse(request));
  });
  World world({&guard});
  TestPeer peer = world.test.connect();
  const std::string requests =
      frame_bytes(R"({"cmd":"stream","id":1,"data_size":3,"more":true})", "abc") +
      frame_bytes(R"({"id":1,"data_size":2})", "de") +
      frame_bytes(R"({"cmd":"write","data_size":4})", "body") +
      frame_bytes(R"({"cmd":"write","token":1,"data_size":1})", "x");
  for (int again = 0; again < 2; ++again) {
    peer.wire().send_in_pieces(requests, 7);
    for (int i = 0; i < 3; ++i) world.test.settle();
    const std::vector<Frame> frames = peer.read_all();
    REQUIRE(frames.size() == 3);
    CHECK(frames[0].text("code") == "unauthenticated");
    CHECK(frames[1].text("code") == "unauthenticated");
    CHECK(frames[2].body == "nobody");
  }
  CHECK(world.handled == 2);
}

TEST_CASE("what the server refuses by itself, and a cancel, no interceptor is asked about") {
  Lines lines;
  Guard guard("guard", lines);
  World world({&guard});
  TestPeer peer = world.test.connect();
  CHECK(world.ask(peer, "nothing")[0].text("code") == "unknown_command");
  CHECK(world.ask(peer, "needs")[0].text("code") == "invalid_argument");
  CHECK(world.ask(peer, "write", "x", ",\"timeout_ms\":0")[0].text("code") == "invalid_argument");
  CHECK(world.ask(peer, "cancel", "", ",\"target\":1")[0].text("code") == "not_found");
  peer.send(R"({"cmd":"write","data_size":2000000})");
  world.test.settle();
  CHECK(peer.read()->text("code") == "too_large");
  CHECK(lines.empty());
}

TEST_CASE("every way in which a request ends is told once") {
  Lines lines;
  Guard guard("guard", lines);
  World world({&guard});
  TestPeer peer = world.test.connect();
  const auto told = [&lines] {
    std::string last = lines.empty() ? "nothing" : lines.back();
    const bool both = lines.size() == 2;
    lines.clear();
    return both ? last : "not two lines, " + last;
  };
  SUBCASE("an error of the handler") {
    for (int again = 0; again < 3; ++again) {
      CHECK(world.ask(peer, "write", "fail")[0].text("code") == "not_found");
      CHECK(told() == "guard after write not_found 4 0");
    }
  }
  SUBCASE("a handler that throws") {
    for (int again = 0; again < 3; ++again) {
      CHECK(world.ask(peer, "write", "throw")[0].text("code") == "internal");
      CHECK(told() == "guard after write internal 5 0");
    }
  }
  SUBCASE("a reply whose members do not fit") {
    for (int again = 0; again < 3; ++again) {
      CHECK(world.ask(peer, "write", "wide")[0].text("code") == "internal");
      CHECK(told() == "guard after write internal 4 0");
    }
  }
  SUBCASE("a token that is dropped") {
    CHECK(world.ask(peer, "later").empty());
    world.tokens.clear();
    world.test.settle();
    CHECK(peer.read()->text("code") == "internal");
    CHECK(told() == "guard after later internal 0 0");
  }
  SUBCASE("a deadline") {
    CHECK(world.ask(peer, "later", "", ",\"timeout_ms\":500").empty());
    world.test.advance(Millis(6'000));  // and the grace
    CHECK(peer.read()->text("code") == "deadline_exceeded");
    CHECK(told() == "guard after later deadline_exceeded 0 0");
  }
  SUBCASE("a cancel") {
    CHECK(world.ask(peer, "later", "", ",\"id\":1").empty());
    CHECK(world.ask(peer, "cancel", "", ",\"id\":2,\"target\":1")[0].ok());
    world.test.advance(Millis(6'000));
    CHECK(peer.read()->text("code") == "cancelled");
    CHECK(told() == "guard after later cancelled 0 0");
  }
  SUBCASE("a body that does not end") {
    peer.send(R"({"cmd":"later","data_size":10})", "abc");
    world.test.settle();
    peer.wire().send_end();
    world.test.settle();
    CHECK(told() == "guard after later cancelled 3 0");
  }
  SUBCASE("a peer that has gone") {
    CHECK(world.ask(peer, "later").empty());
    peer.wire().reset();
    world.test.settle();
    CHECK(told() == "guard after later cancelled 0 0");
  }
  SUBCASE("the end of the server") {
    CHECK(world.ask(peer, "later").empty());
    world.test.destroy_server();
    CHECK(told() == "guard after later cancelled 0 0");
  }
  SUBCASE("the end of the server in the handler's call") {
    (void)world.ask(peer, "write");
    lines.clear();
    world.during = [&world] { world.test.destroy_server(); };
    (void)world.ask(peer, "write");
    CHECK(told() == "guard after write cancelled 0 0");
  }
  SUBCASE("a one-way request") {
    CHECK(world.ask(peer, "one_way", "abc").empty());
    peer.wire().reset();
    world.test.settle();
    CHECK(lines.size() == 1);  // it goes on
    std::move(world.tokens.at(0)).ok();
    CHECK(told() == "guard after one_way ok 3 0");
  }
}

TEST_CASE("a refused one-way request is told as refused, and not answered") {
  Lines lines;
  Guard guard("guard", lines, refuse);
  World world({&guard});
  TestPeer peer = world.test.connect();
  CHECK(world.ask(peer, "one_way", "abc").empty());
  CHECK(lines == Lines{"guard before one_way", "guard after one_way unauthenticated 0 0"});
  CHECK(world.ask(peer, "later").at(0).text("code") == "unauthenticated");
}

TEST_CASE("what an interceptor throws is an internal error, and nobody misses its telling") {
  for (const bool known : {true, false}) {
    Lines lines;
    Guard first("first", lines);
    Guard second("second", lines, [known](Request&) -> Result<void> {
      if (known) throw std::runtime_error("on purpose");
      throw 5;  // NOLINT
    });
    second.then = [] { throw std::runtime_error("again"); };
    World world({&first, &second});
    TestPeer peer = world.test.connect();
    for (int again = 0; again < 3; ++again) {
      const std::vector<Frame> frames = world.ask(peer, "write");
      REQUIRE(frames.size() == 1);
      CHECK(frames[0].text("code") == "internal");
      CHECK(frames[0].text("message") ==
            (known ? "an interceptor failed: on purpose" : "an interceptor failed"));
      CHECK(std::exchange(lines, {}) == Lines{"first before write", "second before write",
                                              "second after write internal 0 0",
                                              "first after write internal 0 0"});
    }
  }
}

TEST_CASE("an interceptor may end the server, before and after") {
  for (const std::string cmd : {"write", "return", "stream", "later"}) {
    for (const bool before : {true, false}) {
      for (const bool known : {true, false}) {
        CAPTURE(cmd);
        CAPTURE(before);
        CAPTURE(known);
        Lines lines;
        World* at = nullptr;
        bool armed = false;
        const auto end = [&at, &armed] {
          if (armed) at->test.destroy_server();
        };
        Guard first("first", lines);
        Guard second("second", lines, [&](Request&) -> Result<void> {
          if (before) end();
          return {};
        });
        if (!before) second.then = end;
        Guard third("third", lines);
        World world({&first, &second, &third});
        at = &world;
        TestPeer peer = world.test.connect();
        if (known) {
          (void)world.ask(peer, cmd, "", ",\"id\":1");
          world.tokens.clear();
          world.test.settle();
          (void)peer.read_all();
        }
        lines.clear();
        armed = true;
        (void)world.ask(peer, cmd, "", ",\"id\":2");
        world.tokens.clear();
        world.test.settle();
        CHECK(peer.wire().closed());
        int asked = 0;
        int told = 0;
        for (const std::string& line : lines) {
          asked += line.find(" before ") != std::string::npos ? 1 : 0;
          told += line.find(" after ") != std::string::npos ? 1 : 0;
        }
        CHECK(asked == (before ? 2 : 3));
        CHECK(told == asked);
      }
    }
  }
}

TEST_CASE(
    "of each type one value is attached, and each interceptor sees what was there before it") {
  Lines lines;
  Guard first("first", lines, [](Request& request) -> Result<void> {
    CHECK(request.attached<User>() == nullptr);
    request.attach(User{"eve"});
    request.attach(Attempt{3});
    return {};
  });
  Guard second("second", lines, [](Request& request) -> Result<void> {
    REQUIRE(request.attached<User>() != nullptr);
    CHECK(request.attached<User>()->name == "eve");
    REQUIRE(request.attached<Attempt>() != nullptr);
    CHECK(request.attached<Attempt>()->number == 3);
    CHECK(request.attached<int>() == nullptr);
    return let_in(request);
  });
  World world({&first, &second});
  TestPeer peer = world.test.connect();
  for (int again = 0; again < 3; ++again) CHECK(world.ask(peer, "write")[0].body == "ali");
}

TEST_CASE("refusals of interceptors count against their peer, as all do") {
  Lines lines;
  Guard guard("guard", lines, refuse);
  Limits limits;
  limits.max_refused_per_minute = 5;
  World world({&guard}, nullptr, limits);
  TestPeer peer = world.test.connect();
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += frame_bytes(R"({"cmd":"write"})");
  peer.wire().send(requests);
  world.test.settle();
  const std::vector<Frame> frames = peer.read_all();
  REQUIRE(frames.size() == 7);
  CHECK(frames[5].text("code") == "unauthenticated");
  CHECK(frames[6].text("code") == "protocol_error");
}

TEST_CASE("bare messages are intercepted on every wire") {
  for (const std::string wire : {"raw", "ready", "prefix", "header"}) {
    for (const std::string cmd : {"write", "later"}) {
      CAPTURE(wire);
      CAPTURE(cmd);
      const Endpoint endpoint =
          Endpoint::parse("tcp://127.0.0.1:1?wire=" + wire + "&cmd=" + cmd).value();
      Lines lines;
      bool open = true;
      Guard guard("guard", lines,
                  [&open](Request& request) { return open ? let_in(request) : refuse(request); });
      World world({&guard});
      TestPeer peer = world.test.connect(endpoint);
      peer.wire().send("hello");
      world.test.settle();
      for (ReplyToken& token : std::exchange(world.tokens, {})) {
        std::move(token).ok({}, Buffer::own("ali"));
      }
      world.test.settle();
      if (wire == "ready") {
        CHECK(peer.wire().take_received() == "3");
        peer.wire().send("recv_ready");
        world.test.settle();
      }
      CHECK(peer.wire().take_received().ends_with("ali"));
      CHECK(std::exchange(lines, {}) ==
            Lines{"guard before " + cmd, "guard after " + cmd + " ok 5 3 of ali"});
      open = false;
      peer.wire().send("hello");
      world.test.settle();
      CHECK(lines.size() == 2);
      CHECK(lines.back() == "guard after " + cmd + " unauthenticated 5 0");
      const bool said = peer.wire().take_received().find("unauthenticated") != std::string::npos;
      CHECK(said == (wire == "header"));
      CHECK(world.handled == 1);
    }
  }
}

TEST_CASE("datagrams are intercepted") {
  for (const std::string wire : {"frame", "raw"}) {
    CAPTURE(wire);
    Lines lines;
    bool open = true;
    Guard first("first", lines, let_in);
    Guard second("second", lines,
                 [&open](Request& request) { return open ? Result<void>() : refuse(request); });
    Witness witness(lines);
    World world({&first, &second}, &witness);
    const std::string options = wire == "raw" ? "?wire=raw&cmd=write" : "";
    const std::string url = world.test.server()->listen("udp://127.0.0.1:0" + options).value();
    std::unique_ptr<DatagramClient> client = DatagramClient::create(world.test.loop(), url).value();
    const auto ask = [&]() -> std::optional<Result<Answer>> {
      std::optional<Result<Answer>> got;
      client->ask({.cmd = "write", .body = Buffer::own("hello"), .timeout = Millis(60'000)},
                  [&got](Result<Answer> answer) { got = std::move(answer); });
      const bool silent = wire == "raw" && !open;  // there a refusal cannot be said
      CHECK(world.test.run_until([&] { return silent ? lines.size() >= 5 : got.has_value(); }));
      if (!silent) return got;
      client->cancel();
      return std::nullopt;
    };
    const auto answer = ask();
    REQUIRE(answer);
    REQUIRE(answer->has_value());
    CHECK((*answer)->body == "ali");
    CHECK(std::exchange(lines, {}) ==
          Lines{"first before write", "second before write", "begun write", "served write",
                "second after write ok 5 3 of ali", "first after write ok 5 3 of ali"});
    open = false;
    const auto refused = ask();
    if (wire == "frame") {
      REQUIRE(refused);
      REQUIRE_FALSE(refused->has_value());
      CHECK(refused->error().code == Errc::unauthenticated);
    } else {
      CHECK_FALSE(refused);
    }
    CHECK(lines == Lines{"first before write", "second before write",
                         "refused write unauthenticated",
                         "second after write unauthenticated 5 0 of ali",
                         "first after write unauthenticated 5 0 of ali"});
    CHECK(world.handled == 1);
  }
}

TEST_CASE("an interceptor of datagrams may end the server") {
  for (const bool before : {true, false}) {
    Lines lines;
    World* at = nullptr;
    const auto end = [&at] { at->test.destroy_server(); };
    Guard guard("guard", lines, [&](Request&) -> Result<void> {
      if (before) end();
      return {};
    });
    if (!before) guard.then = end;
    World world({&guard});
    at = &world;
    const std::string url = world.test.server()->listen("udp://127.0.0.1:0").value();
    std::unique_ptr<DatagramClient> client = DatagramClient::create(world.test.loop(), url).value();
    client->ask({.cmd = "write"}, [](Result<Answer>) {});
    CHECK(world.test.run_until([&] { return lines.size() >= 2; }));
    CHECK(lines == Lines{"guard before write",
                         before ? "guard after write cancelled 0 0" : "guard after write ok 0 6"});
    CHECK(world.handled == (before ? 0 : 1));
  }
}

TEST_CASE("counts of refusals and of running requests are right where interceptors refuse") {
  Lines lines;
  bool open = false;
  Guard guard("guard", lines,
              [&open](Request& request) { return open ? Result<void>() : refuse(request); });
  Metrics metrics;
  World world({&guard}, &metrics);
  TestPeer peer = world.test.connect();
  for (int i = 0; i < 3; ++i) (void)world.ask(peer, "write");
  open = true;
  for (int i = 0; i < 2; ++i) (void)world.ask(peer, "write");
  (void)world.ask(peer, "later");
  CHECK(metrics.running_requests() == 1);
  const std::string told(metrics.members().text());
  CHECK(told.find(R"("refused":{"unauthenticated":3})") != std::string::npos);
}
