// SPDX-License-Identifier: MIT
// The daemon: reads its configuration, puts the parts together, and serves until it is told to
// stop. See bin/README.md for options, keys, signals and exit statuses.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cleave/bin/commands.h"
#include "cleave/bin/config.h"
#include "cleave/bin/listeners.h"
#include "cleave/bin/log.h"
#include "cleave/bin/log_observer.h"
#include "cleave/bin/observer_pair.h"
#include "cleave/bin/process_setup.h"
#include "cleave/bin/run_log.h"
#include "cleave/bin/service_manager.h"
#include "cleave/bin/store_sweep.h"
#include "cleave/core/loop.h"
#include "cleave/core/metrics.h"
#include "cleave/core/router.h"
#include "cleave/core/server.h"
#include "cleave/core/watcher.h"

using namespace cleave;

namespace {

constexpr int kClean = 0;
constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

// How long the rest may take when the server has ended: enough for the removal of a cancelled
// upload's file on a disk that works.
constexpr std::chrono::seconds kRest{1};

int give_up(const Error& error, int status) {
  std::fprintf(stderr, "cleaved: %s\n", error.message.c_str());
  return status;
}

// The limits of a configuration as far as the system has descriptors for them.
Limits feasible(const Config& config, Log& log) {
  Limits limits = config.limits;
  // A put has its file and two directories open, a program its pidfd and three pipes.
  const std::uint64_t others =
      3 * config.store.limits.store_max_open + 4 * config.exec.limits.exec_max_running;
  const std::uint64_t room = make_room_for(limits.max_connections, others);
  if (room < limits.max_connections) {
    log.write(LogLevel::warning, "max_connections_lowered",
              {{"wanted", limits.max_connections},
               {"used", room},
               {"message", "the system allows no more open descriptors (ulimit -n)"}});
    limits.max_connections = room;
  }
  return limits;
}

// What the signals do: SIGTERM and SIGINT stop, SIGHUP reloads. The service manager is told.
class Control {
 public:
  Control(Loop& loop, Server& server, Log& log, const ServiceManager& service_manager,
          const CommandLine& command_line, Config config)
      : loop_(loop),
        server_(server),
        log_(log),
        service_manager_(service_manager),
        command_line_(command_line),
        config_(std::move(config)) {}

  Result<void> watch_signals() {
    for (const auto& [signal, action] : {std::pair{SIGTERM, &Control::stop},
                                         {SIGINT, &Control::stop},
                                         {SIGHUP, &Control::reload}}) {
      Result<SignalWatcher> watcher =
          SignalWatcher::create(loop_, signal, [this, action = action] { (this->*action)(); });
      if (!watcher) return fail(watcher.error());
      watchers_.push_back(*std::move(watcher));
    }
    return {};
  }

  // The listeners are open.
  void ready(std::string status) {
    status_text_ = std::move(status);
    tell(service_manager_.ready(status_text_));
  }

  // Until a drain has ended well, leaving the loop is a failure.
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  // In order at the first signal, at once at the second.
  void stop() {
    if (std::exchange(stopping_, true)) {
      log_.write(LogLevel::warning, "stopping_at_once");
      return loop_.stop();
    }
    const std::size_t connections = server_.connections();
    server_.drain([this](bool clean) {
      status_ = clean ? kClean : kFailed;
      log_.write(clean ? LogLevel::info : LogLevel::warning, "stopped",
                 {{"message", clean ? "all requests were finished"
                                    : "some requests had to be cancelled at the deadline"}});
      loop_.stop();
    });
    log_.write(LogLevel::info, "draining", {{"connections", connections}});
    tell(service_manager_.stopping("finishing what runs"));
  }

  void reload() {
    tell(service_manager_.reloading());
    const Result<void> done = apply_file();
    if (!done) log_.write(LogLevel::error, "reload_refused", {{"message", done.error().message}});
    tell(service_manager_.ready(done ? status_text_ : "not reloaded: " + done.error().message));
  }

  // All or nothing: a configuration with a mistake changes nothing.
  Result<void> apply_file() {
    if (command_line_.config.empty()) {
      return fail(Errc::failed_precondition,
                  "there is no file to read: cleaved runs without --config");
    }
    Result<Config> wanted = load_config(command_line_);
    if (!wanted) return fail(std::move(wanted.error()));
    if (Result<void> offers = check_offers(*wanted); !offers) return offers;
    server_.set_limits(feasible(*wanted, log_));
    log_.set_level(wanted->log_level);
    log_.write(LogLevel::info, "reloaded", {{"file", command_line_.config}});
    for (const std::string_view key : restart_keys(config_, *wanted)) {
      log_.write(LogLevel::warning, "restart_needed",
                 {{"key", key}, {"message", "the file's value is used after a restart"}});
    }
    return {};
  }

  void tell(const Result<void>& told) {
    if (told) return;
    log_.write(LogLevel::warning, "notify_failed", {{"message", told.error().message}});
  }

  Loop& loop_;
  Server& server_;
  Log& log_;
  const ServiceManager& service_manager_;
  const CommandLine& command_line_;
  const Config config_;  // as it was at the start
  std::vector<SignalWatcher> watchers_;
  std::string status_text_;
  bool stopping_ = false;
  int status_ = kFailed;
};

// A server with everything that belongs to it but its loop, from its making to its end.
int serve_on(Loop& loop, const CommandLine& command_line, const Config& config,
             std::vector<InheritedSocket> inherited) {
  const ServiceManager service_manager = ServiceManager::from_environment();
  Log log(STDERR_FILENO, config.log_format, config.log_level);
  LogObserver log_observer(log);
  Metrics metrics;
  ObserverPair observers(log_observer, metrics);

  ListenerRule rule(config);
  Router router;
  std::optional<Server> server;
  Config audited_config = config;
  if (!config.exec_cgroup.empty() && config.exec.mode != ExecMode::off) {
    auto cgroups = RunCgroups::open(config.exec_cgroup);
    if (!cgroups) return give_up(cgroups.error(), kFailed);
    audited_config.exec.cgroups = *std::move(cgroups);
  }
  audited_config.exec.on_run = [&log](const RunRecord& run) { log_run(log, run); };
  const Result<std::shared_ptr<const FileStore>> store =
      add_commands(router, loop, audited_config, metrics, [&server] { return server->limits(); });
  if (!store) return give_up(store.error(), kFailed);
  StoreSweep sweep(loop, *store);
  server.emplace(
      loop, router,
      ServerOptions{.limits = feasible(config, log), .observer = &observers, .admission = &rule});
  Control control(loop, *server, log, service_manager, command_line, config);
  const Result<void> watched = control.watch_signals();
  if (!watched) return give_up(watched.error(), kFailed);

  const Result<std::vector<std::string>> urls =
      open_listeners(*server, config, std::move(inherited), log);
  if (!urls) {
    const bool wrong = urls.error().code == Errc::invalid_argument;
    return give_up(urls.error(), wrong ? kWrongUsage : kFailed);
  }
  std::string status;
  for (const std::string& url : *urls) {
    std::printf("listening on %s\n", url.c_str());
    status += (status.empty() ? "listening on " : ", ") + url;
  }
  std::puts("ready");
  std::fflush(stdout);
  control.ready(std::move(status));
  loop.run();
  return control.status();
}

// The server has ended, so nobody waits for what is left: threads of the pool, programs that were
// killed. The ends of the loop and of libuv wait for them all the same, and what hangs in the
// system does not come back.
void end_soon(int status) {
  std::thread([status] {
    std::this_thread::sleep_for(kRest);
    std::_Exit(status);
  }).detach();
}

int serve(const CommandLine& command_line, const Config& config) {
  // Before there is a thread, and before anything else can be mistaken for what was passed.
  Result<std::vector<InheritedSocket>> inherited = take_inherited_sockets();
  if (!inherited) return give_up(inherited.error(), kWrongUsage);
  const Result<void> offers = check_offers(config);
  if (!offers) return give_up(offers.error(), kWrongUsage);
  Result<std::unique_ptr<Loop>> loop = Loop::create();
  if (!loop) return give_up(loop.error(), kFailed);
  // Threads of the pool are made at its first work, and libuv ends the process where it can make
  // none: now, and not in the middle of its work.
  (*loop)->offload([] {}, [] {});
  const int status = serve_on(**loop, command_line, config, *std::move(inherited));
  end_soon(status);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  prepare_process("cleaved");
  const Result<CommandLine> command_line = parse_command_line(argc, argv);
  if (!command_line) return give_up(command_line.error(), kWrongUsage);
  if (!command_line->print.empty()) {
    std::fputs(command_line->print.c_str(), stdout);
    return kClean;
  }
  const Result<Config> config = load_config(*command_line);
  if (!config) return give_up(config.error(), kWrongUsage);
  if (command_line->check) {
    const Result<void> offers = check_offers(*config);
    if (!offers) return give_up(offers.error(), kWrongUsage);
    std::puts("the configuration is valid");
    return kClean;
  }
  return serve(*command_line, *config);
}
