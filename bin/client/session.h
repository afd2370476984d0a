// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cleave/bin/client/settings.h"
#include "cleave/core/client.h"
#include "cleave/core/loop.h"
#include "cleave/core/unique_function.h"
#include "cleave/core/watcher.h"

namespace cleave::cli {

// Sees a reply as it comes.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void on_frame(const Header& /*header*/) {}
  // To slow the server down, keep the chunk and hold it until it is done with.
  virtual void on_body(Chunk chunk) = 0;
};

// How a request ended.
struct Outcome {
  Result<void> result;
  Ref<const Header> header = {};  // of the reply's last frame; null where none came
};

// The conversation with one server: connects when it is needed, runs one request at a time to its
// end, and sees to Ctrl-C meanwhile. The first Ctrl-C asks the server to cancel; without an answer
// within a second, or at the second Ctrl-C, the connection is reset and everything is given up.
class Session {
 public:
  Session(Loop& loop, std::string url) : loop_(loop), url_(std::move(url)) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Sends a request and waits for the end of its reply. What `call.timeout` allows is waited for,
  // and a little longer, also where the server keeps silent.
  [[nodiscard]] Outcome run(const Settings& settings, Call call, Sink& sink);
  // The same with the reply's body in a string.
  [[nodiscard]] Outcome run(const Settings& settings, Call call, std::string& body);
  // Sends a request that is never answered, and waits until the server has closed the connection:
  // an end that is not ours tells that it has read everything.
  [[nodiscard]] Result<void> run_one_way(const Settings& settings, Call call);

  // Runs the loop until `done` says so; false if everything was given up before.
  bool wait_until(UniqueFunction<bool()> done);
  // Ends the running request early, because its result cannot be used.
  void cancel();

  // Makes Ctrl-C mean what is said above, from now on and until the watcher is destroyed.
  [[nodiscard]] Result<SignalWatcher> watch_interrupts();
  [[nodiscard]] bool interrupted() const noexcept { return interrupts_ > 0; }
  // The process should end now: there may be a worker that nobody can wait for.
  [[nodiscard]] bool given_up() const noexcept { return given_up_; }

  [[nodiscard]] Loop& loop() noexcept { return loop_; }

 private:
  Result<void> connect(const Settings& settings);
  void interrupt();
  void give_up();

  Loop& loop_;
  std::string url_;
  std::unique_ptr<Client> client_;
  CallHandle call_;
  int interrupts_ = 0;
  bool given_up_ = false;
};

}  // namespace cleave::cli
