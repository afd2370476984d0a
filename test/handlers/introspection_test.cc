// SPDX-License-Identifier: MIT
#include "cleave/handlers/introspection.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "cleave/handlers/echo.h"
#include "cleave/handlers/exec.h"
#include "cleave/protocol/header.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/plain_client.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

// A server that knows its own limits and counts, as a program composes it.
struct Watched {
  Metrics metrics;
  Limits limits{.max_in_flight = 77};
  LiveServer server{[this](Router& router, Loop& loop) {
                      add_echo(router);
                      add_exec(router, loop, {});
                      add_introspection(router, loop, metrics, [this](Members& into) {
                        write_limits(into, limit_table(), limits);
                        write_limits(into, exec_limit_table(), ExecLimits{});
                      });
                    },
                    ServerOptions{.limits = limits, .observer = &metrics}};
  PlainClient client{server.port()};

  // The object in the body of a reply, which any JSON reader must be able to read.
  Ref<const Header> ask(std::string_view cmd) {
    const Frame reply = client.ask(Members().set("cmd", cmd));
    CHECK(reply.ok());
    HeaderParser parser;
    return parser.parse(reply.body).value();
  }
};

}  // namespace

TEST_CASE("ping tells the protocol, the version and how long the server has run") {
  Watched watched;
  const auto ping = watched.ask("ping");
  CHECK(ping->integer("protocol", 0, 99).value() == 1);
  CHECK(ping->string("version").value().find('.') != std::string_view::npos);
  CHECK(ping->integer("uptime_ms", 0, 3'600'000).has_value());
}

TEST_CASE("limits tells the limits in force, of the server and of its handlers") {
  Watched watched;
  const auto limits = watched.ask("limits");
  CHECK(limits->root().size() == limit_table().size() + exec_limit_table().size());
  CHECK(limits->integer("max_in_flight", 0, 1'000).value() == 77);
  CHECK(limits->integer("exec_timeout_ms", 0, 1'000'000).value() == 60'000);
}

TEST_CASE("help describes every command with its arguments") {
  Watched watched;
  const auto help = watched.ask("help");
  std::vector<std::string> names;
  std::vector<std::string> arguments;
  const Value commands = help->find("commands").value();
  for (const Value command : commands) {
    names.emplace_back(*command.find("cmd")->string());
    CHECK_FALSE(command.find("summary")->string()->empty());
    if (names.back() != "exec") continue;
    const Value described = command.find("arguments").value();
    for (const Value argument : described) {
      arguments.emplace_back(*argument.find("name")->string());
      CHECK(argument.find("type")->string().has_value());
      CHECK(argument.find("required")->boolean() == false);
    }
  }
  CHECK(names == std::vector<std::string>{"echo", "exec", "help", "limits", "ping", "stats"});
  CHECK(arguments == std::vector<std::string>{"argv", "shell", "cwd", "env", "name", "args"});
}

TEST_CASE("stats counts what was served, failed and refused") {
  Watched watched;
  watched.client.ask(Members().set("cmd", "echo"), "hello");
  watched.client.ask(Members().set("cmd", "exec").set("shell", "true"));
  watched.client.ask(Members().set("cmd", "nonsense"));
  const auto stats = watched.ask("stats");
  const Value requests = *stats->find("requests");
  CHECK(requests.find("served")->integer() == 2);
  CHECK(requests.find("running")->integer() == 1);
  CHECK(requests.find("refused")->find("unknown_command")->integer() == 1);
  const Value commands = *stats->find("commands");
  CHECK(commands.find("echo")->find("body_in")->integer() == 5);
  CHECK(commands.find("echo")->find("body_out")->integer() == 5);
  CHECK(commands.find("exec")->find("errors")->find("permission_denied")->integer() == 1);
  CHECK(stats->find("connections")->find("open")->integer() == 1);
}
