// SPDX-License-Identifier: MIT
#include "cleave/core/metrics.h"

#include <doctest/doctest.h>

#include "cleave/protocol/header.h"

using namespace cleave;

namespace {

const Peer kPeer{"127.0.0.1:1"};

Observer::Served served(std::string_view cmd, std::optional<Errc> code = {}) {
  return {.cmd = cmd,
          .peer = kPeer,
          .id = {},
          .code = code,
          .message = "",
          .body_in = 3,
          .body_out = 5,
          .duration = Millis(7),
          .one_way = false};
}

}  // namespace

TEST_CASE("a server that nothing happened to counts zero everywhere") {
  CHECK(Metrics().members().object() ==
        R"({"connections":{"open":0,"accepted":0,"shed":{},"closed":{},"protocol_errors":0,)"
        R"("pauses":0,"bytes_in":0,"bytes_out":0},"datagrams_dropped":{},)"
        R"("requests":{"running":0,"begun":0,"served":0,"one_way":0,"errors":{},"refused":{},)"
        R"("cancelled":{}},"commands":{},"limits":{},"memory":{"held":0,"most":0}})");
}

TEST_CASE("open connections and running requests are what began and has not ended") {
  Metrics metrics;
  metrics.on_accept(kPeer);
  metrics.on_accept(kPeer);
  metrics.on_close(kPeer, Observer::CloseReason::reset, "", 10, 20);
  metrics.on_request(kPeer, "echo");
  metrics.on_request(kPeer, "echo");
  metrics.on_request(kPeer, "echo");
  metrics.on_served(served("echo"));
  CHECK(metrics.open_connections() == 1);
  CHECK(metrics.running_requests() == 2);
}

TEST_CASE("what happened is told by its reason, its code and its command") {
  Metrics metrics;
  metrics.on_accept(kPeer);
  metrics.on_shed({Errc::overloaded, "full"});
  metrics.on_request(kPeer, "echo");
  metrics.on_served(served("echo"));
  metrics.on_request(kPeer, "exec");
  metrics.on_cancel(kPeer, "exec", CancelReason::deadline);
  metrics.on_served(served("exec", Errc::deadline_exceeded));
  metrics.on_refused(kPeer, "nonsense", {Errc::unknown_command, "no such command"});
  metrics.on_protocol_error(kPeer, {Errc::protocol_error, "bad length"});
  metrics.on_pause(kPeer);
  metrics.on_datagram_dropped(kPeer, Observer::DropReason::malformed);
  metrics.on_datagram_dropped(kPeer, Observer::DropReason::malformed);
  metrics.on_datagram_dropped(kPeer, Observer::DropReason::unsendable);
  metrics.on_limit("max_in_flight");
  metrics.on_limit("header_bytes");
  metrics.on_limit("max_in_flight");
  metrics.on_memory(6'000, 7'000);
  metrics.on_memory(5'000, 6'000);
  metrics.on_close(kPeer, Observer::CloseReason::protocol_error, "bad length", 10, 20);
  CHECK(metrics.members().object() ==
        R"({"connections":{"open":0,"accepted":1,"shed":{"overloaded":1},)"
        R"("closed":{"protocol_error":1},"protocol_errors":1,"pauses":1,"bytes_in":10,)"
        R"("bytes_out":20},"datagrams_dropped":{"malformed":2,"unsendable":1},)"
        R"("requests":{"running":0,"begun":2,"served":2,"one_way":0,)"
        R"("errors":{"deadline_exceeded":1},"refused":{"unknown_command":1},)"
        R"("cancelled":{"deadline":1}},)"
        R"("commands":{"echo":{"served":1,"errors":{},"body_in":3,"body_out":5,"duration_ms":7},)"
        R"("exec":{"served":1,"errors":{"deadline_exceeded":1},"body_in":3,"body_out":5,)"
        R"("duration_ms":7}},"limits":{"header_bytes":1,"max_in_flight":2},)"
        R"("memory":{"held":5000,"most":7000}})");
}

TEST_CASE("a command that nobody has is not remembered") {
  Metrics metrics;
  for (int i = 0; i < 100; ++i) {
    metrics.on_refused(kPeer, std::to_string(i), {Errc::unknown_command, ""});
  }
  CHECK(metrics.members().object().find(R"("commands":{})") != std::string::npos);
}
