// SPDX-License-Identifier: MIT
#include "cleave/core/account.h"

#include <algorithm>
#include <cassert>
#include <string>

namespace cleave {
inline namespace v0 {
namespace {

// From here on an account is worth a pause: what one read of a large body pins.
constexpr std::uint64_t kLargeBytes = 256 * 1024;

}  // namespace

// ---- Budget -------------------------------------------------------------------------------------

void Budget::charge(std::uint64_t bytes) noexcept {
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  if (used_ < limit_ - limit_ / 8) return;
  const bool at_most_one = large_.next() == large_.previous();
  if (!at_most_one) static_cast<Account*>(large_.previous())->pause();
}

void Budget::release(std::uint64_t bytes) {
  assert(used_ >= bytes);
  used_ -= bytes;
  resume_if_room();
}

void Budget::set_limit(std::uint64_t limit) {
  limit_ = limit;
  resume_if_room();
}

std::optional<Error> Budget::refusal() const {
  if (!exhausted()) return std::nullopt;
  return Error{Errc::overloaded,
               "the server holds " + std::to_string(used_) + " bytes for its peers, the limit is " +
                   std::to_string(limit_) + " (memory_bytes)",
               "memory_bytes"};
}

void Budget::resume_if_room() {
  if (paused_.alone() || used_ >= limit_ - limit_ / 4) return;
  // In a ring of their own, as whoever goes on may be paused anew.
  RingLink now;
  now.replace(paused_);
  while (!now.alone()) static_cast<Account*>(now.next())->resume();
}

// ---- Account ------------------------------------------------------------------------------------

Account::~Account() {
  assert(held() == 0);
}

void Account::charge(Use use, std::uint64_t bytes) noexcept {
  sums_[index(use)] += bytes;
  held_ += bytes;
  if (!budget_) return;
  if (owner_ != nullptr && alone() && held() >= kLargeBytes) join_before(budget_->large_);
  budget_->charge(bytes);
}

void Account::release(Use use, std::uint64_t bytes) {
  assert(sums_[index(use)] >= bytes);
  sums_[index(use)] -= bytes;
  held_ -= bytes;
  const Ref<Account> guard(this);  // whoever goes on may let go of it
  if (budget_) {
    if (!paused_ && held() < kLargeBytes) leave();
    budget_->release(bytes);
  }
  // Whoever holds nothing has nothing to wait for.
  if (paused_ && held_ == 0) resume();
  open_window();
}

void Account::open_window() {
  if (!full_ || held(Use::window) > window_bytes_ / 2) return;
  full_ = false;
  if (owner_ != nullptr) owner_->on_account_open();
}

void Account::set_window(std::uint64_t window_bytes) {
  window_bytes_ = window_bytes;
  open_window();
}

bool Account::closed() noexcept {
  if (held(Use::window) >= window_bytes_) full_ = true;
  if (!paused_ && budget_ && budget_->exhausted() && held() > 0) pause();
  return full_ || paused_;
}

void Account::pause() noexcept {
  if (owner_ == nullptr) return;
  paused_ = true;
  join_before(*budget_->paused_.next());
}

void Account::resume() {
  paused_ = false;
  leave();
  if (held() >= kLargeBytes) join_before(budget_->large_);
  owner_->on_account_open();
}

void Account::detach() noexcept {
  owner_ = nullptr;
  paused_ = false;
  leave();
}

// ---- Held ---------------------------------------------------------------------------------------

void Held::set(const Ref<Account>& account, std::uint64_t bytes) {
  if (bytes == bytes_ && (bytes == 0 || account == account_)) return;
  const Ref<Account> before = std::exchange(account_, bytes > 0 ? account : Ref<Account>());
  const std::uint64_t bytes_before = std::exchange(bytes_, bytes);
  // First what is new, so that nobody is told of room that is not there.
  if (account_) account_->charge(use_, bytes_);
  if (before) before->release(use_, bytes_before);
}

}  // namespace v0
}  // namespace cleave
