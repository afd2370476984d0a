// SPDX-License-Identifier: MIT
#include "cleave/handlers/open_files.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace cleave;

TEST_CASE("a place is taken as long as a copy of it lives") {
  OpenFiles files(2);
  const Peer local{"unix"};
  auto first = files.take(local).value();
  auto copy = first;
  const auto second = files.take(local).value();
  CHECK(files.take(local).error().code == Errc::busy);
  first.reset();
  CHECK_FALSE(files.take(local).has_value());
  copy.reset();
  CHECK(files.take(local).has_value());
}

TEST_CASE("one host has a quarter of the places at the most, and this machine all") {
  OpenFiles files(8);
  std::vector<std::shared_ptr<void>> places;
  const auto take = [&](const char* address) {
    auto place = files.take(Peer{address});
    if (place) places.push_back(*place);
    return place.has_value();
  };
  CHECK(take("192.0.2.1:1"));
  CHECK(take("192.0.2.1:2"));
  CHECK_FALSE(take("192.0.2.1:3"));
  CHECK(take("192.0.2.2:1"));
  for (int i = 0; i < 5; ++i) CHECK(take("127.0.0.1:1"));
  CHECK_FALSE(take("127.0.0.1:1"));
  CHECK_FALSE(take("192.0.2.3:1"));
  places.clear();
  CHECK(take("192.0.2.1:3"));
}

TEST_CASE("a place may be given back on any thread, and after the server") {
  std::shared_ptr<void> place;
  {
    OpenFiles files(1);
    place = files.take(Peer{"192.0.2.1:1"}).value();
  }
  std::thread([place = std::move(place)]() mutable { place.reset(); }).join();
}
