// SPDX-License-Identifier: MIT
#include "cleave/bin/client/batch.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "cleave/bin/client/file_line.h"
#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

// A session gives up a second after Ctrl-C; then a part is removed.
constexpr Millis kInterruptPatience(2'000);

}  // namespace

Batch::Batch(Session& session, const Settings& settings, const TransferOptions& options, bool shown)
    : session_(session),
      settings_(settings),
      options_(options),
      progress_(session.loop(), session.console(), shown) {}

int Batch::run(Action action, const Locate& locate) {
  std::uint64_t bytes = 0;
  for (const Job& job : jobs_) bytes += job.size;
  progress_.plan(jobs_.size(), bytes);
  if (std::min<std::size_t>(options_.connections, jobs_.size()) > 1) {
    run_parallel(action, locate);
  } else {
    work(session_, action, locate);
  }
  if (begun_ < jobs_.size() && !session_.interrupted()) {
    console().warn(std::to_string(jobs_.size() - begun_) + " of " + std::to_string(jobs_.size()) +
                   " files were not tried");
  }
  progress_.end();
  const int written = console().finish_results();
  return status_ == kOk ? written : status_;
}

// One session works here, the others in threads, each on a loop of its own.
void Batch::run_parallel(Action action, const Locate& locate) {
  const std::size_t helpers = std::min<std::size_t>(options_.connections, jobs_.size()) - 1;
  Loop& here = session_.loop();
  std::size_t running = 0;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < helpers; ++i) {
    try {
      threads.emplace_back([&, server = session_.server()]() mutable {
        if (auto loop = Loop::create()) {
          Session session(**loop, std::move(server), console());
          auto interrupts = session.watch_interrupts();
          work(session, action, locate);
        }
        here.post([&running] { --running; });
      });
    } catch (const std::system_error&) {
      break;  // the system has no more threads; those that there are do all of it
    }
    ++running;
  }
  work(session_, action, locate);
  const auto all_ended = [&running] { return running == 0; };
  if (!session_.wait_interruptibly(all_ended)) {
    // The others hear of Ctrl-C too, and end within about the same time.
    bool late = false;
    Timer patience(here, [&late] { late = true; });
    patience.start(kInterruptPatience);
    while (!late && !all_ended()) here.step_waiting();
    if (late) exit_at_once(kInterrupted);  // one of them waits for a disk, or for our reader
  }
  for (std::thread& thread : threads) thread.join();
}

void Batch::work(Session& session, Action action, const Locate& locate) {
  while (!session.interrupted()) {
    const Job* job = next();
    if (job == nullptr) break;
    std::optional<ProgressShare> share(std::in_place, progress_, job->remote, job->size);
    auto local = locate(job->local);
    Result<Transferred> done =
        local ? action({session, settings_, options_, *share, *local, job->remote})
              : fail(local.error());
    if (done) share->complete();
    share.reset();
    report(*job, local ? local->path() : job->local, done);
  }
}

const Batch::Job* Batch::next() {
  const std::lock_guard lock(mutex_);
  return stopped_ || begun_ == jobs_.size() ? nullptr : &jobs_[begun_++];
}

void Batch::report(const Job& job, const std::string& path, const Result<Transferred>& done) {
  Members line = file_line(path, job.remote);
  if (!done) {
    report_failure(job.remote, done.error(), line);
  } else if (done->skipped) {
    line.set("status", "skipped");
    if (!settings_.quiet && !console().events()) {
      console().remark("'" + printable(job.remote) + "' is there already, and was skipped");
    }
  } else {
    line.set("status", options_.dry_run ? "planned" : "ok");
    if (done->header) append_results(line, *done->header);
  }
  tell(line, done.has_value());
}

void Batch::refuse(const Job& job, const Error& error) {
  Members line = file_line(job.local, job.remote);
  report_failure(job.local + job.remote, error, line);
  tell(line, false);
}

void Batch::report_failure(const std::string& name, const Error& error, Members& line) {
  const std::string where = jobs_.size() > 1 || options_.recursive ? "'" + name + "': " : "";
  // A program is told with the file.
  if (!console().events()) console().report({error.code, where + error.message});
  append_error(line, error);
  const int status = exit_status(error.code);
  const std::lock_guard lock(mutex_);
  if (status_ == kOk) status_ = status;
  stopped_ = stopped_ || status == kNetwork || status == kNoSpace;
}

void Batch::tell(const Members& line, bool well) {
  if (settings_.json) console().print(json_line(line.object()));
  progress_.file_ended(line, well);
}

}  // namespace cleave::cli
