// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/loop.h"
#include "cleave/core/server.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/decoder.h"
#include "cleave/testing/manual_clock.h"
#include "cleave/testing/memory_stream.h"
#include "cleave/testing/plain_client.h"

namespace cleave::testing {

// A connection to a TestServer, seen from the peer.
class CLEAVE_API TestPeer {
 public:
  // The bytes, stalls, ends and resets below the frames.
  [[nodiscard]] MemoryPeer& wire() noexcept { return wire_; }
  // Sends a frame: its header as JSON text (`data_size` is not added), and its body.
  void send(std::string_view header, std::string_view body = {});
  // The next frame that was received whole; empty if there is none. Throws at what is no frame.
  [[nodiscard]] std::optional<Frame> read();
  // All frames that were received whole.
  [[nodiscard]] std::vector<Frame> read_all();

 private:
  friend class TestServer;
  explicit TestPeer(MemoryPeer wire);

  MemoryPeer wire_;
  std::unique_ptr<HeaderParser> parser_;
  std::string input_;
  std::size_t used_ = 0;  // bytes of the input that were given as frames
};

// A server without ports, threads and time: connections are memory, the clock is moved by hand, and
// the loop is stepped by hand.
//
//     TestServer test([](Router& router, Loop&) { router.add("greet", ...); });
//     TestPeer peer = test.connect();
//     peer.send(R"({"cmd":"greet","data_size":3})", "Ada");
//     test.settle();
//     CHECK(peer.read()->body == "hello Ada");
class CLEAVE_API TestServer {
 public:
  explicit TestServer(const std::function<void(Router&, Loop&)>& add, ServerOptions options = {});
  ~TestServer();

  // `endpoint` has the wire, the command and the packet size of the listener that the peer would
  // have reached. A peer of a bare wire is driven by TestPeer::wire() alone. `address` is where it
  // comes from: "192.0.2.7:50000", or what is no address, as a local socket has none.
  [[nodiscard]] TestPeer connect(const Endpoint& endpoint = {}, std::string address = "memory");
  // Runs the loop until nothing more happens by itself (work in the pool is not waited for).
  void settle();
  // Moves the clock in steps as small as the server's coarsest timer, and settles after each.
  void advance(Millis by);
  // Moves the clock in one step, as if the process had been stopped meanwhile, and runs one turn.
  void stand_still(Millis by);
  // Runs the loop, waiting, until `done`; for work in the pool. Gives up after a minute: false.
  [[nodiscard]] bool run_until(const std::function<bool()>& done);

  [[nodiscard]] Loop& loop() noexcept { return *loop_; }
  // Null after it was destroyed.
  [[nodiscard]] Server* server() noexcept { return server_.get(); }
  void destroy_server() { server_.reset(); }

 private:
  ManualClock clock_;
  std::unique_ptr<Loop> loop_;
  Router router_;
  std::unique_ptr<Server> server_;
};

}  // namespace cleave::testing
