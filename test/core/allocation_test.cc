// SPDX-License-Identifier: MIT
// What serving asks of the allocator. The program's operator new counts for this.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/handler.h"
#include "cleave/core/metrics.h"
#include "cleave/core/recycled.h"
#include "cleave/core/socket_address.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;

namespace {

std::atomic<std::size_t> allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  ++allocations;
  return memory;
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

TEST_CASE("once warm, serving a datagram allocates nothing") {
  Metrics metrics;
  TestServer test(
      [](Router& router, Loop&) {
        router.add(
            "echo", {.summary = "the body", .datagram = true},
            collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<> {
              reply.append(body);
              return {};
            }));
      },
      {.observer = &metrics});
  const std::string body(1'000, 'x');
  const auto allocations_of = [&](const char* url, auto make_datagram) {
    const Endpoint endpoint = Endpoint::parse(test.server()->listen(url).value()).value();
    SocketAddress address = SocketAddress::from(endpoint).value();
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    std::string reply(2'000, '\0');
    std::size_t counted = 0;
    for (int i = 0; i < 200; ++i) {
      const std::string datagram = make_datagram(i);
      REQUIRE(::sendto(socket.get(), datagram.data(), datagram.size(), 0, address.any(),
                       address.size()) == static_cast<ssize_t>(datagram.size()));
      const std::size_t before = allocations;
      test.loop().step();
      if (i >= 100) counted += allocations - before;
      REQUIRE(::recv(socket.get(), reply.data(), reply.size(), 0) >= 1'000);
    }
    return counted;
  };
  CHECK(allocations_of("udp://127.0.0.1:0?wire=raw&cmd=echo", [&](int) { return body; }) == 0);
  CHECK(allocations_of("udp://127.0.0.1:0", [&](int i) {
          return frame_bytes(
              R"({"cmd":"echo","data_size":1000,"id":)" + std::to_string(100 + i) + "}", body);
        }) == 0);
}

namespace {

// Not under a sanitizer, which is given everything back.
bool memory_is_recycled() {
  void* const first = RecycledMemory::take(100);
  RecycledMemory::give_back(first, 100);
  void* const second = RecycledMemory::take(100);
  RecycledMemory::give_back(second, 100);
  return first == second;
}

}  // namespace

TEST_CASE("once warm, serving a small message allocates nothing, whatever serves it") {
  struct Passing final : Handler {
    Passing(const Request& request, ReplyToken token)
        : reply(make_recycled<Relay>(request.body_size())) {
      std::move(token).ok({}, std::shared_ptr<Source>(reply));
    }
    void on_body(Chunk chunk) override { reply->push(std::move(chunk).keep()); }
    void on_end() override { reply->finish(); }
    std::shared_ptr<Relay> reply;
  };
  TestServer test([](Router& router, Loop&) {
    router.add("collected", {.summary = "the body"},
               collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<> {
                 reply.append(body);
                 return {};
               }));
    router.add("streaming", {.summary = "the body"},
               streaming([](const Request& request, ReplyToken token) {
                 return make_recycled<Passing>(request, std::move(token));
               }));
  });
  TestPeer peer = test.connect();
  const std::string body(64, 'x');
  const auto allocations_of = [&](const std::string& cmd, bool counting) {
    std::uint64_t id = 1'000'000;
    std::size_t counted = 0;
    for (int i = 0; i < 200; ++i) {
      std::string requests;
      for (int k = 0; k < 16; ++k) {
        const std::string more = counting ? ",\"id\":" + std::to_string(++id) : "";
        requests += frame_bytes("{\"cmd\":\"" + cmd + "\",\"data_size\":64" + more + "}", body);
      }
      peer.wire().send(requests);
      const std::size_t before = allocations;
      test.loop().step();
      // What is left is the memory of the stream that stands for the socket, once a turn.
      if (i >= 100) counted += allocations - before;
      REQUIRE(peer.wire().take_received().size() > 16 * body.size());
    }
    return counted / 100;
  };
  for (const bool counting : {false, true}) {
    CHECK(allocations_of("collected", counting) < 4);
    if (memory_is_recycled()) CHECK(allocations_of("streaming", counting) < 4);
  }
}
