// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/channel.h"
#include "cleave/bin/client/console.h"
#include "cleave/bin/client/settings.h"
#include "cleave/core/client.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/loop.h"
#include "cleave/core/reconnecting_client.h"
#include "cleave/core/unique_function.h"
#include "cleave/core/watcher.h"

namespace cleave::cli {

// What ends because of Ctrl-C.
[[nodiscard]] Error interrupted_error();

// The conversation with one server: connects when it is needed, runs one request at a time to its
// end, and sees to Ctrl-C meanwhile. The first Ctrl-C asks the server to cancel, and where the wire
// has no word for that it ends the connection; without an answer within a second, or at the second
// Ctrl-C, the connection is reset and the command is given up. The next one connects anew.
//
// It belongs to the thread of its loop. Several at once are several threads, each with a loop and a
// session of its own, which hear of Ctrl-C on their own.
class Session {
 public:
  Session(Loop& loop, Endpoint server, Console& console)
      : loop_(loop), server_(std::move(server)), console_(console) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Sends a request and waits for the end of its reply, for as long as the settings allow: a server
  // that reads frames keeps that time itself, and is waited for a little longer.
  [[nodiscard]] Outcome run(const Settings& settings, Call call, Sink& sink);
  // The same with the reply's body in a string.
  [[nodiscard]] Outcome run(const Settings& settings, Call call, std::string& body);
  // Sends a request that is never answered, and waits until the server has closed the connection:
  // an end that is not ours tells that it has read everything.
  [[nodiscard]] Result<void> run_one_way(const Settings& settings, Call call);

  // What speaks frames with the server, for what runs by itself. Until the next request, or the
  // next time that somebody asks for it, it does as these settings say.
  [[nodiscard]] ReconnectingClient& client(const Settings& settings);

  // Runs the loop until `done` says so; false if everything was given up before.
  bool wait_until(UniqueFunction<bool()> done);
  // As wait_until(), where the first Ctrl-C calls `cancel`, which has a second to make it so.
  bool wait_cancellably(UniqueFunction<bool()> done, UniqueFunction<void()> cancel);
  // As wait_until(), where the first Ctrl-C ends the waiting: false then, too.
  bool wait_interruptibly(UniqueFunction<bool()> done);
  // Ends the running request early, because its result cannot be used.
  void cancel();

  // As long as it exists a command runs, and Ctrl-C means what is said above.
  class Interrupts {
   public:
    Interrupts(Session& session, SignalWatcher watcher)
        : session_(&session), watcher_(std::move(watcher)) {}
    Interrupts(Interrupts&& other) noexcept
        : session_(std::exchange(other.session_, nullptr)), watcher_(std::move(other.watcher_)) {}
    Interrupts& operator=(Interrupts&&) = delete;
    ~Interrupts() {
      if (session_ != nullptr) ++session_->commands_;
    }

   private:
    Session* session_;
    SignalWatcher watcher_;
  };
  [[nodiscard]] Result<Interrupts> watch_interrupts();
  // Since the last command has begun.
  [[nodiscard]] bool interrupted() const noexcept { return interrupts_ > 0; }
  // A command was given up, and it may have left a worker behind that nobody can wait for.
  [[nodiscard]] bool may_hang() const noexcept { return may_hang_; }

  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  [[nodiscard]] const Endpoint& server() const noexcept { return server_; }
  // Whether it is frames over a stream: client() is for those alone.
  [[nodiscard]] bool speaks_frames() const noexcept {
    return server_.wire == Wire::frame && !server_.is_datagram();
  }
  [[nodiscard]] Console& console() noexcept { return console_; }
  // It was there at some time: a connection has been made.
  [[nodiscard]] bool reached() const noexcept { return reached_; }

 private:
  class Deadline;
  template <typename Connecting>
  Result<std::unique_ptr<Connecting>> connect(const Settings& settings, const Deadline& deadline);
  Result<void> open_channel(const Settings& settings, Deadline& deadline);
  Outcome ask(const Settings& settings, Deadline& deadline, Call call, Sink& sink);
  void on_connected(bool verbose);
  void interrupt();
  void give_up();

  Loop& loop_;
  Endpoint server_;
  Console& console_;
  ClientOptions connecting_;
  std::unique_ptr<ReconnectingClient> client_;
  std::unique_ptr<Channel> channel_;
  UniqueFunction<void()> cancel_;  // of what is waited for, where it is no request of our own
  std::shared_ptr<Pending> running_;
  int interrupts_ = 0;
  int commands_ = 0;            // that have ended
  bool interruptible_ = false;  // the first Ctrl-C ends what is waited for, and nothing else
  bool given_up_ = false;       // the command that runs
  bool may_hang_ = false;
  bool reached_ = false;
};

}  // namespace cleave::cli
