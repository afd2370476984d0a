// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>

#include "cleave/bin/client/console.h"
#include "cleave/bin/client/progress_line.h"
#include "cleave/core/loop.h"
#include "cleave/protocol/members.h"

namespace cleave::cli {

// How far the transfers of a command are, told at equal distances of time, so that one that stands
// still is seen to do so. May be used by several threads at once; made, and destroyed, on that of
// the loop.
class Progress {
 public:
  // `wanted`: a person may be told.
  Progress(Loop& loop, Console& console, bool wanted);
  ~Progress() { end(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What is to be transferred: so many files, with so many bytes as far as is known.
  void plan(std::size_t files, std::uint64_t bytes);
  // A file is done with; `line` has what a program may want to know of it.
  void file_ended(const Members& line, bool well);
  // Says how it all ended, and no more.
  void end();

 private:
  friend class ProgressShare;
  struct Share {
    std::string name;
    std::uint64_t total;
    std::int64_t done = 0;
  };
  std::list<Share>::iterator add(const std::string& name, std::uint64_t expected);
  void drop(std::list<Share>::iterator share);
  void complete(Share& share);
  void expect(Share& share, std::uint64_t total);
  void move(Share& share, std::uint64_t done, bool transferred);

  void tick();
  void show(Time now);
  void tell(std::string_view event, Time now);
  [[nodiscard]] double mean_rate(Millis elapsed) const;
  [[nodiscard]] TransferState state_of_all() const;
  [[nodiscard]] LineLook look() const;

  Loop& loop_;
  Console& console_;
  const bool wanted_;
  const Time begun_;
  Timer timer_;

  std::mutex mutex_;
  std::string name_;  // of the first file
  std::list<Share> shares_;
  std::uint64_t total_ = 0;  // as peers say, so it may turn around
  bool total_known_ = false;
  std::int64_t done_ = 0;
  std::int64_t transferred_ = 0;  // of that
  RateMeter rate_;
  std::size_t files_ = 0;
  std::size_t files_total_ = 1;
  std::size_t failed_ = 0;
  bool shown_ = false;
  bool ended_ = false;
};

// What one transfer has done of the whole, while it lives.
class ProgressShare {
 public:
  // `expected` bytes are in the whole already.
  ProgressShare(Progress& progress, const std::string& name, std::uint64_t expected = 0)
      : progress_(progress), share_(progress.add(name, expected)) {}
  ~ProgressShare() { progress_.drop(share_); }
  ProgressShare(const ProgressShare&) = delete;
  ProgressShare& operator=(const ProgressShare&) = delete;

  // All the bytes of the transfer, as far as is known now.
  void expect(std::uint64_t total) { progress_.expect(*share_, total); }
  // So many of them need no transfer, or no other one.
  void begin_at(std::uint64_t done) { progress_.move(*share_, done, false); }
  // So many of them have been transferred.
  void reach(std::uint64_t done) { progress_.move(*share_, done, true); }
  // It has ended well, and no more is to come of it than has.
  void complete() { progress_.complete(*share_); }

 private:
  Progress& progress_;
  std::list<Progress::Share>::iterator share_;
};

}  // namespace cleave::cli
