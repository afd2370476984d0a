// SPDX-License-Identifier: MIT
// What serving asks of the allocator. The program's operator new counts for this.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/metrics.h"
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
