// SPDX-License-Identifier: MIT
// What a program that embeds the library relies on, and a daemon would not notice.
#include <doctest/doctest.h>
#include <unistd.h>
#include <uv.h>

#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/client.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/process.h"
#include "cleave/core/server.h"
#include "cleave/testing/scratch_directory.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

Router named(const std::string& name) {
  Router router;
  router.add("name", {.summary = "who answers"},
             collected([name](const Request&, std::string_view) -> Result<Reply> {
               return Reply::text(name);
             }));
  return router;
}

// Turns a loop until something is so.
template <typename Condition>
void turn_until(Loop& loop, Condition condition) {
  while (!condition()) REQUIRE(loop.step_waiting());
}

// Who answers at an address; or the error.
Result<std::string> ask(Loop& loop, const std::string& url) {
  std::unique_ptr<Client> client;
  std::optional<Result<std::string>> result;
  Client::connect(loop, url, {}, [&](Result<std::unique_ptr<Client>> connected) {
    if (!connected) {
      result = fail(connected.error());
      return;
    }
    client = *std::move(connected);
    client->call({.cmd = "name"}, [&](Result<Answer> answer) {
      result = answer ? Result<std::string>(answer->body) : fail(answer.error());
    });
  });
  turn_until(loop, [&] { return result.has_value(); });
  return *result;
}

// All that a process does with signals, as the system tells it.
std::string signals() {
  std::ifstream status("/proc/self/status");
  std::string line;
  std::string found;
  while (std::getline(status, line)) {
    if (line.starts_with("SigCgt") || line.starts_with("SigIgn") || line.starts_with("SigBlk")) {
      found += line + "\n";
    }
  }
  return found;
}

std::ptrdiff_t entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

}  // namespace

TEST_CASE("several servers share a loop, each with its own commands") {
  const auto loop = Loop::create().value();
  const Router first_router = named("first");
  const Router second_router = named("second");
  Server first(*loop, first_router);
  auto second = std::make_unique<Server>(*loop, second_router);
  const std::string first_url = first.listen("tcp://127.0.0.1:0").value();
  const std::string second_url = second->listen("tcp://127.0.0.1:0").value();
  CHECK(ask(*loop, first_url).value() == "first");
  CHECK(ask(*loop, second_url).value() == "second");
  second.reset();
  CHECK(ask(*loop, first_url).value() == "first");
  CHECK_FALSE(ask(*loop, second_url));
}

TEST_CASE("listeners come and go while a server serves") {
  const auto loop = Loop::create().value();
  const ScratchDirectory scratch;
  const Router router = named("it");
  Server server(*loop, router);
  const std::string tcp = server.listen("tcp://127.0.0.1:0").value();
  const std::string local = server.listen("unix:" + (scratch / "s").string()).value();
  const std::string udp = server.listen("udp://127.0.0.1:0").value();
  CHECK(server.listening() == std::vector{tcp, local, udp});

  // A connection that came by a listener outlives it.
  std::unique_ptr<Client> client;
  Client::connect(*loop, local, {}, [&](auto connected) { client = std::move(connected).value(); });
  turn_until(*loop, [&] { return client && server.connections() == 1; });
  CHECK(server.unlisten(local));
  CHECK_FALSE(std::filesystem::exists(scratch / "s"));
  CHECK(server.unlisten(local).error().code == Errc::not_found);
  CHECK(server.unlisten(udp));
  CHECK(server.listening() == std::vector{tcp});
  std::optional<std::string> name;
  client->call({.cmd = "name"}, [&](Result<Answer> answer) { name = answer.value().body; });
  turn_until(*loop, [&] { return name.has_value(); });
  CHECK(name == "it");

  CHECK(server.unlisten(tcp));
  CHECK_FALSE(ask(*loop, tcp));
  const std::string again = server.listen(tcp).value();
  CHECK(again == tcp);
  CHECK(ask(*loop, tcp).value() == "it");
}

TEST_CASE("a stop in order has a time of its own, and tells when it is over") {
  const auto loop = Loop::create().value();
  Router router;
  std::optional<ReplyToken> kept;
  router.add("wait", {.summary = "never answers by itself"},
             later([&kept](const Request&, Buffer, ReplyToken token) { kept = std::move(token); }));
  Limits limits;
  limits.drain_timeout_ms = 3'600'000;
  Server server(*loop, router, {.limits = limits});
  const std::string url = server.listen("tcp://127.0.0.1:0").value();
  std::unique_ptr<Client> client;
  std::optional<Error> ended;
  Client::connect(*loop, url, {}, [&](auto connected) {
    client = std::move(connected).value();
    client->call({.cmd = "wait"}, [&](Result<Answer> answer) { ended = answer.error(); });
  });
  turn_until(*loop, [&] { return kept.has_value(); });
  std::optional<bool> clean;
  server.drain(Millis(10), [&](bool was_clean) { clean = was_clean; });
  CHECK(server.listening().empty());
  kept->on_cancel([&](CancelReason reason) {
    CHECK(reason == CancelReason::draining);
    kept.reset();
  });
  turn_until(*loop, [&] { return clean.has_value(); });
  CHECK(clean == false);
  CHECK(ended->code == Errc::unavailable);
  // It is not ours to end the loop.
  CHECK(server.connections() == 0);
}

TEST_CASE("whoever drains a server that drains already, or has drained, is told as the first one") {
  const auto loop = Loop::create().value();
  std::optional<ReplyToken> kept;
  Router router;
  router.add("wait", {.summary = "waits"},
             later([&](const Request&, Buffer, ReplyToken token) { kept = std::move(token); }));
  Server server(*loop, router);
  const std::string url = server.listen("tcp://127.0.0.1:0").value();
  std::unique_ptr<Client> client;
  Client::connect(*loop, url, {}, [&](auto connected) {
    client = std::move(connected).value();
    client->call({.cmd = "wait"}, [](Result<Answer>) {});
  });
  turn_until(*loop, [&] { return kept.has_value(); });
  std::vector<std::string> told;
  const auto tell = [&](std::string who) {
    return
        [&told, who = std::move(who)](bool clean) { told.push_back(who + (clean ? " +" : " -")); };
  };
  server.drain(Millis(10), tell("first"));
  server.drain(Millis(3'600'000), tell("second"));  // keeps the time of the first
  CHECK(told.empty());
  kept->on_cancel([&](CancelReason) { kept.reset(); });
  turn_until(*loop, [&] { return told.size() == 2; });
  CHECK(told == std::vector<std::string>{"first -", "second -"});
  server.drain(tell("third"));
  CHECK(told.size() == 2);
  turn_until(*loop, [&] { return told.size() == 3; });
  CHECK(told.back() == "third -");
}

TEST_CASE("an embedder's loop is served, and neither run to its end nor closed") {
  uv_loop_t own;
  REQUIRE(::uv_loop_init(&own) == 0);
  uv_timer_t timer;
  REQUIRE(::uv_timer_init(&own, &timer) == 0);
  {
    const auto loop = Loop::create({.uv = &own}).value();
    const Router router = named("guest");
    Server server(*loop, router);
    const std::string url = server.listen("tcp://127.0.0.1:0").value();
    std::optional<std::string> name;
    std::unique_ptr<Client> client;
    Client::connect(*loop, url, {}, [&](auto connected) {
      client = std::move(connected).value();
      client->call({.cmd = "name"}, [&](Result<Answer> answer) { name = answer.value().body; });
    });
    while (!name) ::uv_run(&own, UV_RUN_ONCE);
    CHECK(name == "guest");
  }
  ::uv_run(&own, UV_RUN_NOWAIT);
  CHECK(::uv_is_closing(reinterpret_cast<uv_handle_t*>(&timer)) == 0);
  ::uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  ::uv_run(&own, UV_RUN_DEFAULT);
  CHECK(::uv_loop_close(&own) == 0);
}

TEST_CASE("no signal, no thread, no output and no descriptor is taken that was not asked for") {
  // What libuv makes once for a process (a pipe for its signals) is not ours.
  (void)Loop::create().value();
  const std::string signals_before = signals();
  const std::ptrdiff_t threads = entries("/proc/self/task");
  const std::ptrdiff_t descriptors = entries("/proc/self/fd");
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const int real = ::dup(STDOUT_FILENO);
  ::dup2(ends[1], STDOUT_FILENO);
  {
    const auto loop = Loop::create().value();
    const Router router = named("quiet");
    Server server(*loop, router);
    const std::string url = server.listen("tcp://127.0.0.1:0").value();
    CHECK(ask(*loop, url).value() == "quiet");
    bool ran = false;
    const auto process =
        Process::spawn(*loop, {.argv = {"/bin/true"}}, [&](ProcessExit) { ran = true; });
    turn_until(*loop, [&] { return ran; });
    CHECK(entries("/proc/self/task") == threads);
  }
  ::dup2(real, STDOUT_FILENO);
  ::close(real);
  ::close(ends[1]);
  char byte = 0;
  CHECK(::read(ends[0], &byte, 1) == 0);
  ::close(ends[0]);
  CHECK(signals() == signals_before);
  CHECK(entries("/proc/self/fd") == descriptors);
}
