// SPDX-License-Identifier: MIT
#include "cleave/core/recycled.h"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <thread>
#include <vector>

using namespace cleave;

TEST_CASE("memory of every size is given and taken back, more often than is kept") {
  for (const std::size_t bytes : {0U, 1U, 63U, 64U, 65U, 1'000U, 1'024U, 1'025U, 100'000U}) {
    std::vector<void*> taken;
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 300; ++i) {
        taken.push_back(RecycledMemory::take(bytes));
        std::memset(taken.back(), 1, bytes);
      }
      for (void* memory : taken) RecycledMemory::give_back(memory, bytes);
      taken.clear();
    }
  }
}

TEST_CASE("a recycled object may end on another thread, and after what the thread keeps") {
  struct Late {
    std::shared_ptr<int> held;
  };
  auto here = make_recycled<int>(5);
  std::thread([&here] {
    static thread_local Late late;  // outlives the lists of the thread, which are made after it
    late.held = make_recycled<int>(6);
    here.reset();
    make_recycled<int>(7).reset();
    CHECK(*late.held == 6);
  }).join();
  CHECK(here == nullptr);
}
