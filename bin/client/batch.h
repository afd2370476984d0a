// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/transfer.h"

namespace cleave::cli {

// The files that one command transfers, one or many: it tries them all, on as many connections as
// were asked for, reports each of them, and has the exit status of the first failure. Once the
// server is lost or a disk is full nothing more is begun.
class Batch {
 public:
  struct Job {
    std::string local;  // a path, or a name in a tree: whatever `Locate` takes
    std::string remote;
    std::uint64_t size = 0;  // as far as is known
  };
  // What is done with one file, and how its name on this machine becomes a place there. Both are
  // called by several threads at once.
  using Action = Result<Transferred> (*)(const Transfer& transfer);
  using Locate = std::function<Result<LocalFile>(const std::string& local)>;

  // `shown`: a person may be told how far it is.
  Batch(Session& session, const Settings& settings, const TransferOptions& options, bool shown);

  void add(Job job) { jobs_.push_back(std::move(job)); }
  [[nodiscard]] std::size_t size() const noexcept { return jobs_.size(); }
  // Something that cannot be transferred. It has a name on one side alone.
  void refuse(const Job& job, const Error& error);
  // Runs all of it, and returns the exit status.
  [[nodiscard]] int run(Action action, const Locate& locate);

 private:
  [[nodiscard]] Console& console() noexcept { return session_.console(); }
  void run_parallel(Action action, const Locate& locate);
  void work(Session& session, Action action, const Locate& locate);
  const Job* next();
  void report(const Job& job, const std::string& path, const Result<Transferred>& done);
  void report_failure(const std::string& name, const Error& error, Members& line);
  // For programs, that a file is done with.
  void tell(const Members& line, bool well);

  Session& session_;
  const Settings& settings_;
  const TransferOptions& options_;
  Progress progress_;
  std::vector<Job> jobs_;

  // Of the threads together.
  std::mutex mutex_;
  std::size_t begun_ = 0;
  bool stopped_ = false;
  int status_ = kOk;
};

}  // namespace cleave::cli
