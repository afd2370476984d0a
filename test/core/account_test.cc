// SPDX-License-Identifier: MIT
#include "cleave/core/account.h"

#include <doctest/doctest.h>

#include <deque>

using namespace cleave;

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
using Use = Account::Use;

// A connection, as far as its account is concerned.
struct Owner final : Account::Owner {
  explicit Owner(Ref<Budget> budget = {}, std::uint64_t window = 2 * kMiB)
      : account(make_ref<Account>(*this, window, std::move(budget))) {}
  ~Owner() {
    for (const Use use : {Use::window, Use::reply, Use::rest}) {
      account->release(use, account->held(use));
    }
    account->detach();
  }
  void on_account_open() override { ++opened; }

  int opened = 0;
  Ref<Account> account;
};

}  // namespace

TEST_CASE(
    "a window is closed from its high mark until half of it is free, and then tells so once") {
  Owner owner({}, 4'000);
  owner.account->charge(Use::window, 3'999);
  CHECK_FALSE(owner.account->closed());
  owner.account->charge(Use::window, 1);
  CHECK(owner.account->closed());
  owner.account->release(Use::window, 1'999);
  CHECK(owner.account->closed());
  CHECK(owner.opened == 0);
  owner.account->release(Use::window, 1);
  CHECK(owner.opened == 1);
  CHECK_FALSE(owner.account->closed());
  owner.account->release(Use::window, 1);
  CHECK(owner.opened == 1);
}

TEST_CASE("the rest does not close the window") {
  Owner owner({}, 4'000);
  owner.account->charge(Use::rest, kMiB);
  CHECK_FALSE(owner.account->closed());
}

TEST_CASE("a budget is what all its accounts hold, whatever it is for") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  {
    Owner first(budget);
    Owner second(budget);
    first.account->charge(Use::window, 10);
    second.account->charge(Use::rest, 20);
    CHECK(budget->used() == 30);
    first.account->release(Use::window, 4);
    CHECK(budget->used() == 26);
    // What outlives its connection is held all the same.
    second.account->detach();
    CHECK(budget->used() == 26);
  }
  CHECK(budget->used() == 0);
}

TEST_CASE("near the limit the newest large accounts are paused, and the oldest goes on") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  std::deque<Owner> owners;
  for (int i = 0; i < 4; ++i) owners.emplace_back(budget);
  for (Owner& owner : owners) owner.account->charge(Use::window, kMiB);
  Owner small(budget);
  owners[0].account->charge(Use::rest, 3 * kMiB - 1);
  CHECK_FALSE(budget->has_paused());
  // 7 of 8 MiB: from here on each charge pauses one.
  owners[0].account->charge(Use::rest, 1);
  CHECK(owners[3].account->paused());
  CHECK_FALSE(owners[2].account->paused());
  small.account->charge(Use::rest, 1);
  small.account->charge(Use::rest, 1);
  small.account->charge(Use::rest, 1);
  CHECK(owners[2].account->paused());
  CHECK(owners[1].account->paused());
  CHECK_FALSE(owners[0].account->closed());
  CHECK_FALSE(small.account->closed());
  CHECK_FALSE(budget->exhausted());
  CHECK(owners[3].opened == 0);
}

TEST_CASE("at the limit everybody is paused who holds anything, and nobody else") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  Owner large(budget);
  Owner small(budget);
  Owner empty(budget);
  small.account->charge(Use::rest, 1);
  large.account->charge(Use::rest, 8 * kMiB - 2);
  CHECK_FALSE(budget->exhausted());
  CHECK_FALSE(small.account->closed());
  large.account->charge(Use::rest, 1);
  CHECK(budget->exhausted());
  CHECK(large.account->closed());
  CHECK(small.account->closed());
  CHECK_FALSE(empty.account->closed());
}

TEST_CASE("whoever is paused goes on when a quarter of the budget is free") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  Owner first(budget);
  Owner second(budget);
  first.account->charge(Use::rest, kMiB);
  second.account->charge(Use::rest, 7 * kMiB);
  CHECK(first.account->closed());
  CHECK(second.account->closed());
  second.account->release(Use::rest, 2 * kMiB);
  CHECK(first.account->paused());
  CHECK(first.opened == 0);
  second.account->release(Use::rest, 1);
  CHECK_FALSE(budget->has_paused());
  CHECK_FALSE(first.account->closed());
  CHECK(first.opened == 1);
  CHECK(second.opened == 1);
}

TEST_CASE("whoever holds nothing any more goes on at once") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  Owner first(budget);
  Owner second(budget);
  first.account->charge(Use::reply, kMiB);
  second.account->charge(Use::rest, 7 * kMiB);
  CHECK(first.account->closed());
  first.account->release(Use::reply, kMiB - 1);
  CHECK(first.account->paused());
  first.account->release(Use::reply, 1);
  CHECK_FALSE(first.account->closed());
  CHECK(first.opened == 1);
}

TEST_CASE("a greater limit lets everybody go on") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  Owner owner(budget);
  owner.account->charge(Use::rest, 8 * kMiB);
  CHECK(owner.account->closed());
  budget->set_limit(16 * kMiB);
  CHECK(owner.opened == 1);
  CHECK_FALSE(owner.account->closed());
}

TEST_CASE(
    "a connection that has ended is neither paused nor told, and what it held is given back") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  Owner gone(budget);
  Owner other(budget);
  gone.account->charge(Use::rest, 4 * kMiB);
  other.account->charge(Use::rest, 4 * kMiB);
  CHECK(gone.account->closed());
  gone.account->detach();
  CHECK_FALSE(gone.account->paused());
  CHECK(other.account->closed());
  gone.account->release(Use::rest, 4 * kMiB);
  CHECK(gone.opened == 0);
  CHECK(other.opened == 1);
}

TEST_CASE("a held number counts as long as it lives, and moves to where it is set") {
  const Ref<Budget> budget = make_ref<Budget>(8 * kMiB);
  Owner first(budget);
  Owner second(budget);
  {
    Held held;
    held.set(first.account, 100);
    held.set(first.account, 70);
    CHECK(first.account->held(Use::rest) == 70);
    held.set(second.account, 70);
    CHECK(first.account->held(Use::rest) == 0);
    CHECK(second.account->held(Use::rest) == 70);
  }
  CHECK(budget->used() == 0);
}
