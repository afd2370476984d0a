// SPDX-License-Identifier: MIT
#pragma once
// Internal: who holds how much memory for whom.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "cleave/core/loop_internals.h"
#include "cleave/protocol/error.h"
#include "cleave/protocol/ref.h"

namespace cleave {
inline namespace v0 {

class Account;

// The memory that a server holds for all its peers together, and how much that may be. Nothing is
// reserved: what is held is counted when it is there, and whoever would make more asks before.
//
//     used        what happens
//     from 7/8    the newest of the large accounts is paused at each further charge: its connection
//                 is not read. The oldest goes on, so that something is always finished
//     the limit   nobody is read who holds anything, and requests are refused with `overloaded`
//     below 3/4   all that are paused go on
class Budget final : public RefCounted<Budget> {
 public:
  explicit Budget(std::uint64_t limit) noexcept : limit_(limit) {}

  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
  // The most since the last call.
  [[nodiscard]] std::uint64_t take_peak() noexcept { return std::exchange(peak_, used_); }
  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }
  [[nodiscard]] bool exhausted() const noexcept { return used_ >= limit_; }
  // What is said to whoever would make more; empty as long as that may be.
  [[nodiscard]] std::optional<Error> refusal() const;
  [[nodiscard]] bool has_paused() const noexcept { return !paused_.alone(); }
  void set_limit(std::uint64_t limit);

 private:
  friend class Account;

  void charge(std::uint64_t bytes) noexcept;
  void release(std::uint64_t bytes);
  void resume_if_room();

  std::uint64_t used_ = 0;
  std::uint64_t peak_ = 0;
  std::uint64_t limit_;
  RingLink large_;   // accounts that hold much and are not paused, the oldest first
  RingLink paused_;  // the oldest first, newer than those of large_
};

// What is held for one connection, in three sums:
// - the window: pieces of input that somebody keeps. When it is full the connection is not read
//   until half of it is free;
// - replies that wait for its reader;
// - the rest: gathered bodies, headers, and what a handler says that it holds.
// All count against the server's budget. Counted by references, as Buffers outlive connections.
class Account final : public RefCounted<Account>, private RingLink {
 public:
  enum class Use : std::uint8_t { window, reply, rest };

  // Hears when its connection may be read again.
  class Owner {
   public:
    virtual void on_account_open() = 0;

   protected:
    ~Owner() = default;
  };

  // Without a budget (of a client) only the window counts for anything.
  Account(Owner& owner, std::uint64_t window_bytes, Ref<Budget> budget) noexcept
      : owner_(&owner), window_bytes_(window_bytes), budget_(std::move(budget)) {}
  ~Account();

  void charge(Use use, std::uint64_t bytes) noexcept;
  void release(Use use, std::uint64_t bytes);
  [[nodiscard]] std::uint64_t held() const noexcept { return held_; }
  [[nodiscard]] std::uint64_t held(Use use) const noexcept { return sums_[index(use)]; }

  // Whether its connection is not to be read, either because the window is full (from the high mark
  // until half of it) or because of the budget.
  [[nodiscard]] bool closed() noexcept;
  [[nodiscard]] bool paused() const noexcept { return paused_; }

  void set_window(std::uint64_t window_bytes);
  // The connection has ended: nobody is to hear anything. What is still held goes on to count.
  void detach() noexcept;

 private:
  friend class Budget;
  void pause() noexcept;
  void resume();
  void open_window();
  [[nodiscard]] static std::size_t index(Use use) noexcept { return static_cast<std::size_t>(use); }

  Owner* owner_;
  std::array<std::uint64_t, 3> sums_{};
  std::uint64_t held_ = 0;  // all of them
  std::uint64_t window_bytes_;
  Ref<Budget> budget_;
  bool full_ = false;
  bool paused_ = false;
};

// A number of bytes that count against an account as long as this lives.
class Held {
 public:
  explicit Held(Account::Use use = Account::Use::rest) noexcept : use_(use) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { set({}, 0); }

  // From now on so many.
  void set(const Ref<Account>& account, std::uint64_t bytes);
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  Ref<Account> account_;
  std::uint64_t bytes_ = 0;
  Account::Use use_;
};

}  // namespace v0
}  // namespace cleave
